/**
 * `/api/v1/activities` (swagger, `Activity`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { checkedBody } from '../kit/checked-body.ts';
import { fqdn } from './activity-engine.ts';
import type { AvamarEnv, Server } from './env.ts';
import { pluginName } from './plugins.ts';
import { AvamarError, chosenFields, dateTime, inAskedDomain, notFound, page } from './spring.ts';
import type { Activity } from './state.ts';

const HOUR_MS = 3_600_000;

function stateOf(activity: Activity, now: number): string {
  if (activity.finished !== undefined) return activity.finished.state;
  return now < activity.startAt ? 'WAITING' : 'RUNNING';
}

/** How much is done, 0 to 1. The vendor shows no percentage, only bytes processed of bytes estimated. */
function doneShare(activity: Activity, now: number): number {
  if (activity.finished !== undefined) return activity.labelNumber === undefined ? 0 : 1;
  if (now < activity.startAt) return 0;
  return Math.min(0.99, (now - activity.startAt) / Math.max(1, activity.endAt - activity.startAt));
}

export function activities(server: Server): Hono<AvamarEnv> {
  const { state, clock, engine } = server;
  const need = (id: string): Activity => {
    const activity = state.activities.get(id);
    if (activity === undefined) throw notFound('Activity', id);
    return activity;
  };
  const view = (activity: Activity) => {
    const now = clock.now();
    const client = state.clients.get(activity.cid);
    const { finished } = activity;
    const bytes = activity.totalBytes ?? 0;
    const processed = Math.round(bytes * doneShare(activity, now));
    const dataset = state.datasets.get(activity.datasetId ?? '');
    const target = activity.restore?.target;
    // The label is known with the result; a restore shows the label that it restores (ours: no recording tells).
    const isLabelled = activity.labelNumber !== undefined;
    return {
      id: activity.id,
      wid: activity.wid,
      cid: activity.cid,
      clientName: client?.name ?? '',
      domain: client?.domainFqdn ?? '',
      type: activity.type,
      state: stateOf(activity, now),
      canceling: activity.cancelRequestedAt !== undefined && finished === undefined,
      errorCode: finished?.errorCode ?? 0,
      codeReason: finished?.codeReason ?? '',
      user: activity.user,
      pluginNumber: activity.pluginNumber,
      pluginName: pluginName(activity.pluginNumber),
      server: 'AVAMAR',
      queuedDate: dateTime(activity.queuedAt),
      ...(now >= activity.startAt ? { activatedDate: dateTime(activity.startAt) } : {}),
      ...(finished === undefined ? {} : { completedDate: dateTime(finished.at) }),
      ...(activity.scheduledAt === undefined ? {} : { scheduledDate: dateTime(activity.scheduledAt) }),
      elapsedTime: (finished?.at ?? now) - activity.queuedAt,
      estimatedBytes: bytes,
      encryption: 'high',
      groupId: activity.groupId,
      groupFqdn: activity.groupFqdn,
      scheduleId: activity.scheduleId,
      scheduleName: activity.scheduleName,
      datasetId: activity.datasetId,
      datasetFqdn: dataset === undefined ? undefined : fqdn(dataset.domain, dataset.name),
      retentionId: activity.retentionId,
      retention: state.retentions.get(activity.retentionId ?? '')?.name,
      effectiveExpiration: activity.effectiveExpiration,
      targetCid:
        target?.kind === 'existing'
          ? state.clients
              .values()
              .find(({ entityId, retired }) => !retired && entityId === `VirtualMachine:${target.moref}`)?.id
          : undefined,
      stats: {
        bytesProtected: bytes,
        bytesProcessed: processed,
        bytesModified: Math.round(processed / 10),
        bytesModifiedSent: Math.round(processed / 20),
        bytesSent: Math.round(processed / 20),
        percentOfProcessedSent: processed === 0 ? 0 : 5,
        ...(isLabelled ? { label: activity.label, labelNumber: activity.labelNumber } : {}),
      },
    };
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
    const asked = state.activities
      .values()
      .filter(({ cid, queuedAt }) => queuedAt >= since && inAskedDomain(c, state.clients.get(cid)?.domainFqdn ?? '/'));
    return c.json(page(c, asked.map(view)));
  });
  routes.post('/cancel', async (c) => {
    const ids = await checkedBody(c, z.array(z.string()));
    return c.json(Object.fromEntries(ids.map((id) => [id, engine.cancel(need(id))])));
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.post('/:id/cancel', (c) => {
    const activity = need(c.req.param('id'));
    return c.json({ [activity.id]: engine.cancel(activity) });
  });
  routes.get('/:id/log', (c) => c.json(log(need(c.req.param('id')))));
  return routes;
}
