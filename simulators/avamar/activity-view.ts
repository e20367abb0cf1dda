/**
 * `Activity` of the swagger.
 * @module
 */
import { fqdn } from './activity-engine.ts';
import type { Server } from './env.ts';
import { pluginName } from './plugins.ts';
import { dateTime } from './spring.ts';
import type { Activity } from './state.ts';

function stateOf(activity: Activity, now: number): string {
  if (activity.finished !== undefined) return activity.finished.state;
  return now < activity.startAt ? 'WAITING' : 'RUNNING';
}

/** How much is done. The vendor shows no percentage, only bytes processed of bytes estimated. */
function bytesDone(activity: Activity, now: number): number {
  const bytes = activity.totalBytes ?? 0;
  if (activity.finished !== undefined) {
    return activity.processedBytes ?? (activity.labelNumber === undefined ? 0 : bytes);
  }
  if (now < activity.startAt) return 0;
  const share = Math.min(0.99, (now - activity.startAt) / Math.max(1, activity.endAt - activity.startAt));
  return Math.round(bytes * share);
}

export function activityView({ state, clock }: Server, activity: Activity) {
  const now = clock.now();
  const client = state.clients.get(activity.cid);
  const { finished, replication } = activity;
  const bytes = activity.totalBytes ?? 0;
  const processed = bytesDone(activity, now);
  const dataset = state.datasets.get(activity.datasetId ?? '');
  const target = activity.restore?.target;
  const destination = state.destinations.get(replication?.destinationId ?? '');
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
    destinationServer: destination?.host,
    parentWid: activity.parentWid,
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
}

/** An activity as it is listed: a replication group's run has its clients' activities in it. */
export function activityTree(server: Server, activity: Activity): object {
  const { childIds } = activity.replication ?? {};
  const view = activityView(server, activity);
  if (childIds === undefined) return view;
  const children = childIds.map((id) => server.state.activities.get(id)).filter((child) => child !== undefined);
  return { ...view, children: children.map((child) => activityView(server, child)) };
}
