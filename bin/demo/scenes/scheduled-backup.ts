/**
 * Scene 8: the backup systems back virtual machines up by their own schedules, and Holdfast notices.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupResult } from '../documents.ts';
import { readVm } from '../operations.ts';
import { type Actor, type Cast, expect, type Story, until } from '../story.ts';
import { clock, slug } from '../wording.ts';
import { resultRow } from './back-up.ts';
import type { DeployedAt } from './deploy.ts';

/** Long enough that a watch which looks every 30 s sees the backup while it runs. */
export const SEEN_BACKUP_SECONDS = 35;
const LOOK_MS = 1_000;
/** A backup of this run begins at most so long after the deploy; by the clock of its backup system. Milliseconds. */
const THIS_RUN_MS = 3_600_000;

/** A lock that was seen: by what, and when. */
interface Sighting {
  readonly kind: string;
  readonly reason: string | null;
  readonly at: string;
}

/** Notes the locks of virtual machines while other scenes are played. */
export interface Lookout {
  /** By the VM's id. */
  readonly sightings: ReadonlyMap<string, Sighting>;
  stop(): Promise<void>;
}

/** Begins to look at the virtual machines, and makes Avamar's backups last long enough to be seen. */
export async function keepLookout(story: Story, { scheduled, onVeeam }: Cast): Promise<Lookout> {
  await story.avamar.backupsTake(SEEN_BACKUP_SECONDS);
  const stopped = new AbortController();
  const signal = AbortSignal.any([story.signal, stopped.signal]);
  const sightings = new Map<string, Sighting>();
  const look = async () => {
    const unseen = new Set([scheduled, onVeeam.restored, onVeeam.expiring]);
    while (unseen.size > 0 && !signal.aborted) {
      for (const actor of unseen) {
        const { lock } = await readVm(story, actor);
        if (lock === null) continue;
        sightings.set(actor.id, { kind: lock.kind, reason: lock.reason, at: new Date().toISOString() });
        unseen.delete(actor);
      }
      await sleep(LOOK_MS, undefined, { signal });
    }
  };
  // What goes wrong here goes wrong in the scenes too, which say so.
  const looking = look().catch(() => undefined);
  return {
    sightings,
    async stop() {
      stopped.abort();
      await looking;
    },
  };
}

/** The backups that Veeam has made by itself. */
export interface VeeamBackups {
  readonly restored: BackupResult;
  readonly expiring: BackupResult;
}

/** Scene 8. */
export async function scheduledBackups(
  story: Story,
  { scheduled, onVeeam }: Cast,
  lookout: Lookout,
  deployedAt: DeployedAt,
): Promise<VeeamBackups> {
  const { screen, avamar, veeam } = story;
  screen.scene(
    8,
    "The backup systems' own schedules",
    'Nobody asks Holdfast: the backups begin in the backup systems, and Holdfast takes note.',
  );
  const onItsOwn = (actor: Actor, since: Date, look: string) => scheduledBackup(story, { actor, since, look }, lookout);
  const restored = await onItsOwn(onVeeam.restored, deployedAt.veeam, veeam.endpoint);
  const expiring = await onItsOwn(onVeeam.expiring, deployedAt.veeam, veeam.endpoint);
  await onItsOwn(scheduled, deployedAt.avamar, avamar.endpoint);
  return { restored, expiring };
}

/** What is waited for. */
interface Awaited {
  readonly actor: Actor;
  /** By the clock of the backup system: backups from before belong to earlier runs. */
  readonly since: Date;
  readonly look: string;
}

async function scheduledBackup(
  story: Story,
  { actor, since, look }: Awaited,
  { sightings }: Lookout,
): Promise<BackupResult> {
  const { screen } = story;
  const path = `/v1/virtual-machines/${actor.id}/backup-results`;
  const find = async () => {
    const results = await actor.tenant.user.list(path, BackupResult);
    return results.find(({ origin, startedAt }) => {
      const after = Date.parse(startedAt) - since.getTime();
      return origin === 'SCHEDULED' && after >= 0 && after < THIS_RUN_MS;
    });
  };
  const seconds = 240;
  await until(story, { text: `waiting for the scheduled backup of ${actor.name}`, seconds, look }, async () => {
    const found = await find();
    return sightings.get(actor.id) ?? (found?.status === 'IN_PROGRESS' ? undefined : found);
  });
  const seen = sightings.get(actor.id);
  if (seen === undefined) {
    screen.line(`that of ${actor.name} had ended when Holdfast noticed it: that makes a result without a lock`);
  } else {
    const what = `at ${clock(seen.at)} ${actor.name} was LOCKED by a ${slug(seen.kind)}: ${seen.reason}`;
    expect(story, seen.kind === 'SCHEDULED_BACKUP', what, `GET /v1/operations?vmId=${actor.id}`);
  }
  const result = await until(story, { text: 'waiting for its end', seconds, look: path }, async () => {
    const found = await find();
    // Its copies are written down a moment after its end.
    return found === undefined || found.status === 'IN_PROGRESS' || isStillRecorded(found) ? undefined : found;
  });
  screen.table([[actor.name, ...resultRow(result)]]);
  const good = result.status === 'SUCCEEDED' && result.restorable;
  expect(story, good, 'it is listed like any other backup and can be restored', path);
  return result;
}

function isStillRecorded({ status, restorable }: { readonly status: string; readonly restorable: boolean }): boolean {
  return status === 'SUCCEEDED' && !restorable;
}
