/**
 * How a replication group's run is carried out: one activity for the run, and below it one for each client.
 * @module
 */
import type { SimulatedClock } from '../kit/clock.ts';
import { addCopy, copiesOf } from './copies.ts';
import type { Outcomes } from './outcomes.ts';
import { REPLICATE } from './plugins.ts';
import { backupsToCopy, clientsOf, copyExpiration } from './replication-choice.ts';
import type { Settings } from './settings.ts';
import type { ReplicationGroup } from './replication-state.ts';
import type { Activity, Backup, Client, Schedule, State } from './state.ts';
import type { WorkQueue } from './work-queue.ts';

export function createReplicationWork(
  state: State,
  clock: SimulatedClock,
  work: WorkQueue,
  outcomes: Outcomes,
  settings: () => Settings,
) {
  const childrenOf = ({ replication }: Activity): Activity[] =>
    (replication?.childIds ?? []).map((id) => state.activities.get(id)).filter((child) => child !== undefined);
  const sizeOf = (backups: Backup[]): number => backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

  const completeRun = (activity: Activity, children: Activity[]): void => {
    const endings = children.map(({ finished }) => finished).filter((finished) => finished !== undefined);
    const [first] = endings;
    const isAlike = endings.every(({ state: ending }) => ending === first?.state);
    const isCancelled = endings.some(({ state: ending }) => ending === 'CANCELED');
    const { at: _, ...ending } = first ?? { at: 0, state: 'SUCCESS', errorCode: 0, codeReason: '' };
    const processedBytes = children.reduce((sum, child) => sum + (child.processedBytes ?? 0), 0);
    work.finish(activity, isAlike ? ending : isCancelled ? 'CANCELED' : 'PARTIAL_REPL', { processedBytes });
  };

  const completeClient = (activity: Activity): void => {
    const { destinationId = '', labels = [] } = activity.replication ?? {};
    if (state.clients.get(activity.cid) === undefined) return work.finish(activity, 'CLIENT_NOT_REGISTERED');
    if (state.destinations.get(destinationId) === undefined) return work.finish(activity, 'FAILURE');
    const retention = state.retentions.get(activity.retentionId ?? '');
    const backups = labels
      .map((label) => state.backups.get(`${activity.cid}/${label}`))
      .filter((backup) => backup !== undefined);
    // A server that dies in the middle copies the rest after its restart, and nothing twice.
    const copied = new Set(
      copiesOf(state, activity.cid, clock.now())
        .filter(({ destId }) => destId === destinationId)
        .map(({ original }) => original.labelNumber),
    );
    const isPartial = activity.outcome?.state === 'PARTIAL_REPL';
    const chosen = isPartial ? backups.slice(0, -1) : backups;
    for (const backup of chosen) {
      if (!copied.has(backup.labelNumber)) {
        addCopy(state, backup, destinationId, copyExpiration(retention, backup));
      }
    }
    work.finish(activity, activity.outcome ?? 'SUCCESS', { processedBytes: sizeOf(chosen) });
  };

  return {
    /**
     * Starts a run, by hand or by its schedule. Undefined when the group is running: that a second run is refused, and
     * not joined, is ours.
     */
    start(
      group: ReplicationGroup,
      how: { user: string; schedule?: Schedule; scheduledAt?: number },
    ): Activity | undefined {
      const replicator = state.replicator();
      if (work.openOf(replicator.id).some(({ groupId }) => groupId === group.id)) return undefined;
      const { schedule, scheduledAt, user } = how;
      const number = state.nextNumber();
      // The form of Activity.wid's example; that a run by hand has MOD for the schedule follows the labels of backups.
      const label = `${schedule?.name ?? 'MOD'}-${group.name}-${number}`;
      // One decided for no client in particular holds for the whole run.
      const outcome = outcomes.take(replicator, 'replication');
      const runId = work.newId();
      const clients = clientsOf(state, group).map((client) => ({
        client,
        id: work.newId(),
        backups: backupsToCopy(state, group, client, clock.now()),
      }));
      const add = (client: Client, id: string, place: number, more: Pick<Activity, 'totalBytes' | 'replication'>) =>
        work.add(
          client,
          settings().replicationSeconds,
          {
            kind: 'replication',
            // The administration's words for a backup, of a replication; no recording tells the vendor's.
            type: schedule === undefined ? 'On-Demand Replication' : 'Scheduled Replication',
            id,
            wid: `${label}#${place}`,
            label,
            user,
            pluginNumber: REPLICATE,
            groupId: group.id,
            groupFqdn: `/${group.name}`,
            ...(group.retentionId === undefined ? {} : { retentionId: group.retentionId }),
            ...(schedule === undefined ? {} : { scheduleId: schedule.id, scheduleName: schedule.name }),
            ...(scheduledAt === undefined ? {} : { scheduledAt }),
            ...(place === 0 ? {} : { parentId: runId, parentWid: `${label}#0` }),
            ...more,
          },
          outcome,
        );
      const destinationId = group.destinationServerId;
      // The run first: what a server that dies now has not yet noted is nobody's, and copies nothing.
      const run = add(replicator, runId, 0, {
        totalBytes: sizeOf(clients.flatMap(({ backups }) => backups)),
        replication: { destinationId, labels: [], childIds: clients.map(({ id }) => id) },
      });
      for (const [index, { client, id, backups }] of clients.entries()) {
        add(client, id, index + 1, {
          totalBytes: sizeOf(backups),
          replication: { destinationId, labels: backups.map(({ labelNumber }) => labelNumber) },
        });
      }
      return run;
    },

    /** Whether the activity is a run, whose end is that of its clients' activities and no decision of its own. */
    isRun: ({ replication }: Activity): boolean => replication?.childIds !== undefined,

    /** Ends a run when the activities of its clients have ended. */
    followRun(activity: Activity): void {
      const children = childrenOf(activity);
      if (children.every(({ finished }) => finished !== undefined)) completeRun(activity, children);
    },

    completeClient,
  };
}
