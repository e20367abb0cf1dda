/**
 * Queues backups, restores and replications, and carries them out when their time has come.
 * @module
 */
import type { SimulatedClock } from '../kit/clock.ts';
import { createBackupWork } from './backup-work.ts';
import { DEFAULT_DATASET_ID, DEFAULT_RETENTION_ID } from './built-ins.ts';
import { copyAt } from './copies.ts';
import type { Outcomes } from './outcomes.ts';
import { createReplicationWork } from './replication-work.ts';
import { createRestoreWork } from './restore-work.ts';
import type { Settings } from './settings.ts';
import type { Activity, Client, Group, RestoreTarget, Schedule, State } from './state.ts';
import { VCenterRefusal, type VCenterLink, VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import { createWorkQueue } from './work-queue.ts';

/** How long an activity goes on trying to reach the vCenter after its time, before it fails. */
const VCENTER_PATIENCE_MS = 60_000;
const CANCEL_TAKES_MS = 300;
/** How many activities are carried out side by side. */
const LANES = 16;
/** The ends in which the work was done, wholly or in part. */
const GOOD = new Set(['SUCCESS', 'SUCCESS_PROMOTED', 'PARTIAL_SUCCESS', 'PARTIAL_REPL']);

export type ActivityEngine = ReturnType<typeof createActivityEngine>;

export function createActivityEngine(
  state: State,
  clock: SimulatedClock,
  link: VCenterLink,
  outcomes: Outcomes,
  settings: () => Settings,
) {
  const work = createWorkQueue(state, clock, outcomes);
  const backups = createBackupWork(state, clock, link, work);
  const restores = createRestoreWork(state, link, work);
  const replications = createReplicationWork(state, clock, work, outcomes, settings);

  const complete = async (activity: Activity): Promise<void> => {
    if (activity.kind === 'backup') await backups.complete(activity);
    else if (activity.kind === 'restore') await restores.complete(activity);
    else replications.completeClient(activity);
  };

  const step = async (activity: Activity): Promise<void> => {
    const now = clock.now();
    if (replications.isRun(activity)) return replications.followRun(activity);
    if (activity.cancelRequestedAt !== undefined) {
      if (now >= activity.cancelRequestedAt + CANCEL_TAKES_MS) work.finish(activity, 'CANCELED');
      return;
    }
    if (now < activity.startAt) return;
    if (now < activity.endAt) {
      // A vCenter that does not answer is asked again at the next beat.
      if (activity.totalBytes === undefined) await backups.measure(activity).catch(() => undefined);
      return;
    }
    if (activity.outcome !== undefined && !GOOD.has(activity.outcome.state)) {
      return work.finish(activity, activity.outcome);
    }
    try {
      await complete(activity);
    } catch (error) {
      const current = state.activities.get(activity.id) ?? activity;
      if (error instanceof VCenterRefusal)
        work.finish(current, { state: 'FAILURE', errorCode: 10026, codeReason: error.message });
      else if (!(error instanceof VCenterUnavailable)) throw error;
      else if (clock.now() > activity.endAt + VCENTER_PATIENCE_MS) {
        work.finish(current, { state: 'FAILURE', errorCode: 10055, codeReason: error.message });
      }
    }
  };

  return {
    isRunning: work.isRunning,
    cancel: (activity: Activity): boolean => work.cancel(activity),
    replicate: (...how: Parameters<typeof replications.start>) => replications.start(...how),

    /** Queues a backup of a client; with a group it takes the group's dataset and retention. */
    backup(
      client: Client,
      how: {
        user: string;
        pluginNumber: number;
        group?: Group;
        schedule?: Schedule;
        scheduledAt?: number;
        expireTime?: number;
        disks?: string[];
      },
    ): Activity {
      const { group, schedule } = how;
      // The label of an on-demand backup is MOD-<milliseconds> (swagger, ActivityStats.label). That a scheduled one is
      // named after schedule and group follows the example of Activity.wid.
      const number = state.nextNumber();
      const label = schedule === undefined ? `MOD-${number}` : `${schedule.name}-${group?.name ?? ''}-${number}`;
      return work.add(client, settings().backupSeconds, {
        id: work.newId(),
        kind: 'backup',
        // 'On-Demand Backup' is the swagger's example; the other two are the names that the administration tools show.
        type: schedule === undefined ? 'On-Demand Backup' : 'Scheduled Backup',
        user: how.user,
        pluginNumber: how.pluginNumber,
        label,
        wid: `${label}#0`,
        datasetId: group?.datasetId ?? DEFAULT_DATASET_ID,
        retentionId: group?.retentionId ?? client.retentionId ?? DEFAULT_RETENTION_ID,
        ...(group === undefined ? {} : { groupId: group.id, groupFqdn: fqdn(group.domain, group.name) }),
        ...(schedule === undefined ? {} : { scheduleId: schedule.id, scheduleName: schedule.name }),
        ...(how.scheduledAt === undefined ? {} : { scheduledAt: how.scheduledAt }),
        ...(how.expireTime === undefined ? {} : { expireTime: how.expireTime }),
        ...(how.disks === undefined ? {} : { disks: how.disks }),
      });
    },

    /** Queues a restore; with `destId` of the copy there, whose number is then given. */
    restore(
      client: Client,
      how: {
        user: string;
        pluginNumber: number;
        labelNumber: string;
        destId?: string;
        target: RestoreTarget;
        powerMode?: string;
      },
    ): Activity {
      const { destId, powerMode, labelNumber, target } = how;
      const backup =
        destId === undefined
          ? state.backups.get(`${client.id}/${labelNumber}`)
          : copyAt(state, client.id, destId, labelNumber)?.original;
      const label = `MOD-${state.nextNumber()}`;
      return work.add(client, settings().restoreSeconds, {
        id: work.newId(),
        kind: 'restore',
        type: 'Restore',
        user: how.user,
        pluginNumber: how.pluginNumber,
        label,
        wid: `${label}#0`,
        labelNumber,
        totalBytes: backup?.sizeBytes ?? 0,
        restore: {
          target,
          ...(destId === undefined ? {} : { destId }),
          ...(powerMode === undefined ? {} : { powerMode }),
        },
      });
    },

    /** Carries out everything whose time has come. */
    async advance(): Promise<void> {
      const due = work.openIds();
      const lane = async (): Promise<void> => {
        for (let id = due.pop(); id !== undefined; id = due.pop()) {
          const activity = state.activities.get(id);
          if (activity !== undefined) await step(activity);
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
    },
  };
}

/** `/domain/name`, without doubling the root's slash. */
export const fqdn = (domain: string, name: string): string => `${domain === '/' ? '' : domain}/${name}`;
