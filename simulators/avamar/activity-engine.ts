/**
 * Queues backups and restores and carries them out when their time has come.
 * @module
 */
import type { SimulatedClock } from '../kit/clock.ts';
import type { Outcomes } from './outcomes.ts';
import { DEFAULT_DATASET_ID, DEFAULT_RETENTION_ID } from './built-ins.ts';
import { expirationOf } from './retention-rules.ts';
import {
  type Activity,
  type Client,
  type Configuration,
  type Group,
  type RestoreTarget,
  type Schedule,
  type State,
} from './state.ts';
import { VCenterRefusal, type VCenterLink, VCenterUnavailable } from '../hypervisor/vcenter-link.ts';

const GIB = 1024 ** 3;
/** How long an activity goes on trying to reach the vCenter after its time, before it fails. */
const VCENTER_PATIENCE_MS = 60_000;
const CANCEL_TAKES_MS = 300;
/** How many activities are carried out side by side. */
const LANES = 16;

export const morefOf = (entityId: string): string => entityId.replace(/^VirtualMachine:/, '');

export type ActivityEngine = ReturnType<typeof createActivityEngine>;

/** What a finished activity's error code and reason are by state. The code is that of a failed image backup; others are ours. */
function reasonFor(state: string): { errorCode: number; codeReason: string } {
  if (state === 'SUCCESS') return { errorCode: 0, codeReason: '' };
  if (state === 'PARTIAL_SUCCESS') return { errorCode: 10020, codeReason: 'Activity completed with exceptions.' };
  if (state === 'CANCELED') return { errorCode: 10001, codeReason: 'Activity was cancelled.' };
  if (state === 'NO_VM') return { errorCode: 10058, codeReason: 'The virtual machine was not found on the vCenter.' };
  return { errorCode: 10026, codeReason: 'Activity failed - client error(s).' };
}

export function createActivityEngine(state: State, clock: SimulatedClock, link: VCenterLink, outcomes: Outcomes) {
  /** Ids of the activities that have not ended, by client. */
  const open = new Map<string, Set<string>>();
  const opened = ({ id, cid }: Activity): void => void open.set(cid, (open.get(cid) ?? new Set()).add(id));
  const openOf = (cid: string): Activity[] =>
    [...(open.get(cid) ?? [])].map((id) => state.activities.get(id) as Activity);
  for (const activity of state.activities.values()) if (activity.finished === undefined) opened(activity);

  // One job at a time for a client, as the vendor queues them: a second one waits for the first.
  const queue = (
    client: Client,
    seconds: number,
    rest: Omit<Activity, 'id' | 'queuedAt' | 'startAt' | 'endAt' | 'cid' | 'wid' | 'outcome'>,
  ): Activity => {
    const queuedAt = clock.now();
    const busyUntil = openOf(client.id)
      .filter((other) => other.cancelRequestedAt === undefined)
      .reduce((latest, other) => Math.max(latest, other.endAt), queuedAt);
    const startAt = busyUntil + Math.min(1000, seconds * 100);
    const outcome = outcomes.take(client, rest.kind);
    const activity: Activity = {
      ...rest,
      id: `9${state.nextNumber()}00`,
      wid: `${rest.label}#0`,
      cid: client.id,
      queuedAt,
      startAt,
      endAt: Math.max(startAt, busyUntil + seconds * 1000),
      ...(outcome === undefined ? {} : { outcome: { ...reasonFor(outcome.state), ...outcome } }),
    };
    state.activities.put(activity.id, activity);
    opened(activity);
    return activity;
  };

  const settings = () => state.settings.get('self') ?? { backupSeconds: 12, restoreSeconds: 12, taskSeconds: 0.5 };

  const finish = (
    activity: Activity,
    ending: string | NonNullable<Activity['outcome']>,
    more: Partial<Activity> = {},
  ) => {
    const how = typeof ending === 'string' ? { state: ending, ...reasonFor(ending) } : ending;
    state.activities.put(activity.id, { ...activity, ...more, finished: { at: clock.now(), ...how } });
    const others = open.get(activity.cid);
    others?.delete(activity.id);
    if (others?.size === 0) open.delete(activity.cid);
  };

  const completeBackup = async (activity: Activity): Promise<void> => {
    const client = state.clients.get(activity.cid);
    if (client === undefined) return finish(activity, 'CLIENT_NOT_REGISTERED');
    const moref = morefOf(client.entityId);
    const machine = await link.machine(moref);
    if (machine === undefined) return finish(activity, 'NO_VM');
    const contents = await link.contents(moref);
    const chosen = machine.disks.filter(
      (disk) => disk.attached && (activity.disks === undefined || activity.disks.includes(disk.label)),
    );
    const configuration: Configuration = {
      name: machine.name,
      cpu: machine.cpu,
      memoryMiB: machine.memoryMiB,
      disks: chosen.map(({ label, sizeGiB }) => ({ label, sizeGiB, content: contents[label] ?? '' })),
      ...(machine.annotation === undefined ? {} : { annotation: machine.annotation }),
    };
    // Read again: a cancel may have arrived, or the client may have gone, while the vCenter was asked.
    const current = state.activities.get(activity.id) ?? activity;
    if (current.cancelRequestedAt !== undefined) return finish(current, 'CANCELED');
    if (state.clients.get(client.id) === undefined) return finish(current, 'CLIENT_NOT_REGISTERED');
    // A server that dies between the backup and the activity's end takes the same label again, not another one.
    const last = state.backups.get(`${client.id}/${client.lastLabelNumber}`);
    const number = last?.name === activity.label ? client.lastLabelNumber : client.lastLabelNumber + 1;
    const labelNumber = String(number);
    const creationTime = clock.now();
    const retention = state.retentions.get(activity.retentionId ?? DEFAULT_RETENTION_ID);
    const expirationTime = activity.expireTime ?? (retention === undefined ? 0 : expirationOf(retention, creationTime));
    const sizeBytes = chosen.reduce((sum, { sizeGiB }) => sum + sizeGiB * GIB, 0);
    state.backups.put(`${client.id}/${labelNumber}`, {
      cid: client.id,
      labelNumber,
      name: activity.label,
      creationTime,
      expirationTime,
      pluginNumber: activity.pluginNumber,
      sizeBytes,
      configuration,
    });
    state.clients.put(client.id, { ...(state.clients.get(client.id) ?? client), lastLabelNumber: number });
    finish(current, current.outcome ?? 'SUCCESS', {
      labelNumber,
      effectiveExpiration: expirationTime,
      totalBytes: sizeBytes,
    });
  };

  const completeRestore = async (activity: Activity): Promise<void> => {
    const backup = state.backups.get(`${activity.cid}/${activity.labelNumber}`);
    const restore = activity.restore;
    if (backup === undefined || restore === undefined) return finish(activity, 'NO_DATA');
    const { configuration } = backup;
    let moref: string;
    if (restore.target.kind === 'new') {
      // The activity's id as the key: a server that dies between the creation and its own note makes no second machine.
      const made = await link.create({ ...configuration, name: restore.target.name, key: activity.id });
      moref = made.moref;
    } else {
      moref = restore.target.moref;
      if ((await link.machine(moref)) === undefined) return finish(activity, 'NO_VM');
      await link.overwrite(moref, {
        disks: Object.fromEntries(configuration.disks.map(({ label, content }) => [label, content])),
        ...(restore.target.restoreConfiguration
          ? {
              configuration: {
                cpu: configuration.cpu,
                memoryMiB: configuration.memoryMiB,
                disks: configuration.disks.map(({ label, sizeGiB }) => ({ label, sizeGiB })),
              },
            }
          : {}),
      });
    }
    const powerMode = restore.powerMode?.toLowerCase();
    if (powerMode === 'on' || powerMode === 'off') await link.power(moref, powerMode === 'on' ? 'ON' : 'OFF');
    finish(state.activities.get(activity.id) ?? activity, activity.outcome ?? 'SUCCESS', { restoredMoref: moref });
  };

  /** The size is asked for when the backup begins, so that its progress can be seen. */
  const measure = async (activity: Activity): Promise<void> => {
    const client = state.clients.get(activity.cid);
    const machine = client === undefined ? undefined : await link.machine(morefOf(client.entityId));
    const disks = machine?.disks.filter((disk) => disk.attached) ?? [];
    const totalBytes = disks.reduce((sum, { sizeGiB }) => sum + sizeGiB * GIB, 0);
    const current = state.activities.get(activity.id);
    if (current?.finished === undefined) state.activities.put(activity.id, { ...activity, ...current, totalBytes });
  };

  const succeeds = (activity: Activity): boolean =>
    activity.outcome === undefined ||
    activity.outcome.state === 'PARTIAL_SUCCESS' ||
    activity.outcome.state === 'SUCCESS';

  const step = async (activity: Activity): Promise<void> => {
    const now = clock.now();
    if (activity.cancelRequestedAt !== undefined) {
      if (now >= activity.cancelRequestedAt + CANCEL_TAKES_MS) finish(activity, 'CANCELED');
      return;
    }
    if (now < activity.startAt) return;
    if (now < activity.endAt) {
      // A vCenter that does not answer is asked again at the next beat.
      if (activity.totalBytes === undefined) await measure(activity).catch(() => undefined);
      return;
    }
    if (!succeeds(activity) && activity.outcome !== undefined) return finish(activity, activity.outcome);
    try {
      await (activity.kind === 'backup' ? completeBackup(activity) : completeRestore(activity));
    } catch (error) {
      const current = state.activities.get(activity.id) ?? activity;
      if (error instanceof VCenterRefusal)
        finish(current, { state: 'FAILURE', errorCode: 10026, codeReason: error.message });
      else if (!(error instanceof VCenterUnavailable)) throw error;
      else if (clock.now() > activity.endAt + VCENTER_PATIENCE_MS) {
        finish(current, { state: 'FAILURE', errorCode: 10055, codeReason: error.message });
      }
    }
  };

  return {
    isRunning: (cid: string): boolean => open.has(cid),

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
      return queue(client, settings().backupSeconds, {
        kind: 'backup',
        // 'On-Demand Backup' is the swagger's example; the other two are the names that the administration tools show.
        type: schedule === undefined ? 'On-Demand Backup' : 'Scheduled Backup',
        user: how.user,
        pluginNumber: how.pluginNumber,
        label,
        datasetId: group?.datasetId ?? DEFAULT_DATASET_ID,
        retentionId: group?.retentionId ?? client.retentionId ?? DEFAULT_RETENTION_ID,
        ...(group === undefined ? {} : { groupId: group.id, groupFqdn: fqdn(group.domain, group.name) }),
        ...(schedule === undefined ? {} : { scheduleId: schedule.id, scheduleName: schedule.name }),
        ...(how.scheduledAt === undefined ? {} : { scheduledAt: how.scheduledAt }),
        ...(how.expireTime === undefined ? {} : { expireTime: how.expireTime }),
        ...(how.disks === undefined ? {} : { disks: how.disks }),
      });
    },

    restore(
      client: Client,
      how: { user: string; pluginNumber: number; labelNumber: string; target: RestoreTarget; powerMode?: string },
    ): Activity {
      const backup = state.backups.get(`${client.id}/${how.labelNumber}`);
      return queue(client, settings().restoreSeconds, {
        kind: 'restore',
        type: 'Restore',
        user: how.user,
        pluginNumber: how.pluginNumber,
        label: `MOD-${state.nextNumber()}`,
        labelNumber: how.labelNumber,
        totalBytes: backup?.sizeBytes ?? 0,
        restore: { target: how.target, ...(how.powerMode === undefined ? {} : { powerMode: how.powerMode }) },
      });
    },

    /** False when the activity has ended already. */
    cancel(activity: Activity): boolean {
      if (activity.finished !== undefined) return false;
      if (activity.cancelRequestedAt === undefined) {
        state.activities.put(activity.id, { ...activity, cancelRequestedAt: clock.now() });
      }
      return true;
    },

    /** Carries out everything whose time has come. */
    async advance(): Promise<void> {
      const due = [...open.values()].flatMap((ids) => [...ids]);
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
