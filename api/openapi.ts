/**
 * The API's description of itself.
 * @module
 */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiEnv } from './context.ts';

/** Serves the OpenAPI 3.1 document of all routes that the app has by now. */
export function describeApi(app: OpenAPIHono<ApiEnv>): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description: 'A token of Holdfast: hf_…',
  });
  let document: ReturnType<typeof app.getOpenAPI31Document> | undefined;
  app.get('/openapi.json', (c) => {
    document ??= app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: {
        title: 'Holdfast',
        version: '1',
        description:
          'Virtual machines together with their backups. Long-running requests answer 202 with an operation to follow. ' +
          'Errors are problem documents (RFC 9457); each code has a page at /errors/<code>.',
      },
      servers: [{ url: '/' }],
    });
    return c.json(document);
  });
}
