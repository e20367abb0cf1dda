/**
 * The metrics, for Prometheus.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { EXPOSITION_TYPE } from '../exposition.ts';
import { createMetrics } from '../metrics.ts';

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'metrics',
  tags: ['Service'],
  summary: 'Counts and ages for Prometheus, with the invariants',
  responses: {
    200: {
      description: 'Metrics in the text format of Prometheus. What cannot be read is left out; holdfast_up says why.',
      content: { 'text/plain': { schema: z.string() } },
    },
  },
});

/** The route of the metrics; it needs no token. */
export function metricsRoutes(dependencies: ApiDependencies) {
  const read = createMetrics(dependencies);
  return newRoutes().openapi(metrics, async (c) => c.text(await read(), 200, { 'Content-Type': EXPOSITION_TYPE }));
}
