/**
 * `/api/v1/activities` (swagger, `Activity`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { activityTree } from './activity-view.ts';
import type { AvamarEnv, Server } from './env.ts';
import { AvamarError, bodyOf, chosenFields, dateTime, inAskedDomain, notFound, page } from './spring.ts';
import type { Activity } from './state.ts';

const HOUR_MS = 3_600_000;

export function activities(server: Server): Hono<AvamarEnv> {
  const { state, clock, engine } = server;
  const need = (id: string): Activity => {
    const activity = state.activities.get(id);
    if (activity === undefined) throw notFound('Activity', id);
    return activity;
  };
  const log = (activity: Activity): string => {
    const line = (at: number, text: string): string => `${dateTime(at)} avvcbimage Info <0000>: ${text}\n`;
    const started = clock.now() >= activity.startAt ? line(activity.startAt, 'Activity started.') : '';
    const { finished } = activity;
    const end =
      finished === undefined ? '' : line(finished.at, `Ended ${finished.state}. ${finished.codeReason}`.trim());
    return line(activity.queuedAt, `${activity.type} queued.`) + started + end;
  };
  const routes = new Hono<AvamarEnv>();

  // `duration` has no description. Taken as hours back from now, 0 (the default) as no limit.
  routes.get('/', (c) => {
    const hours = Number(c.req.query('duration') ?? 0);
    if (Number.isNaN(hours)) throw new AvamarError(400, 'duration is a number.');
    const since = hours > 0 ? clock.now() - hours * HOUR_MS : Number.NEGATIVE_INFINITY;
    // The part of a replication that is one client's is listed inside of it, not beside it: ours.
    const asked = state.activities
      .values()
      .filter(({ parentId }) => parentId === undefined)
      .filter(({ cid, queuedAt }) => queuedAt >= since && inAskedDomain(c, state.clients.get(cid)?.domainFqdn ?? '/'));
    return c.json(
      page(
        c,
        asked.map((activity) => activityTree(server, activity)),
      ),
    );
  });
  routes.post('/cancel', async (c) => {
    const ids = await bodyOf(c, z.array(z.string()));
    return c.json(Object.fromEntries(ids.map((id) => [id, engine.cancel(need(id))])));
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, activityTree(server, need(c.req.param('id'))))));
  routes.post('/:id/cancel', (c) => {
    const activity = need(c.req.param('id'));
    return c.json({ [activity.id]: engine.cancel(activity) });
  });
  routes.get('/:id/log', (c) => c.json(log(need(c.req.param('id')))));
  return routes;
}
