/**
 * Scene 8: the backup system backs a virtual machine up by its own schedule, and Holdfast notices.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupResult } from '../documents.ts';
import { readVm } from '../operations.ts';
import { type Cast, expect, type Story, until } from '../story.ts';
import { clock, slug } from '../wording.ts';
import { resultRow } from './back-up.ts';

/** Long enough that a watch which looks every 30 s sees the backup while it runs. */
const SEEN_BACKUP_SECONDS = 35;
const LOOK_MS = 1_000;

/** A lock that was seen: by what, and when. */
export interface Sighting {
  readonly kind: string;
  readonly reason: string | null;
  readonly at: string;
}

/** Notes the lock of the fourth VM while the other scenes are played. */
export interface Lookout {
  sighting: Sighting | undefined;
  stop(): Promise<void>;
}

/** Begins to look at the VM, and makes its backup last long enough to be seen. */
export async function keepLookout(story: Story, { scheduled }: Cast): Promise<Lookout> {
  await story.avamar.backupsTake(SEEN_BACKUP_SECONDS);
  const stopped = new AbortController();
  const signal = AbortSignal.any([story.signal, stopped.signal]);
  const lookout: Lookout = {
    sighting: undefined,
    async stop() {
      stopped.abort();
      await looking;
    },
  };
  const look = async () => {
    while (lookout.sighting === undefined && !signal.aborted) {
      const { lock } = await readVm(story, scheduled);
      if (lock !== null) lookout.sighting = { kind: lock.kind, reason: lock.reason, at: new Date().toISOString() };
      await sleep(LOOK_MS, undefined, { signal });
    }
  };
  // What goes wrong here goes wrong in the scenes too, which say so.
  const looking = look().catch(() => undefined);
  return lookout;
}

/** Scene 8. @param since ISO 8601: scheduled backups from before belong to earlier runs. */
export async function scheduledBackup(
  story: Story,
  { scheduled: actor }: Cast,
  lookout: Lookout,
  since: string,
): Promise<void> {
  const { screen } = story;
  screen.scene(
    8,
    "The backup system's own schedule",
    'Nobody asks Holdfast: the backup begins in the backup system, and Holdfast takes note.',
  );
  const path = `/v1/virtual-machines/${actor.id}/backup-results`;
  const find = async () => {
    const results = await actor.tenant.user.list(path, BackupResult);
    return results.find(({ origin, startedAt }) => origin === 'SCHEDULED' && startedAt >= since);
  };
  const seconds = 240;
  await until(
    story,
    { text: `waiting for the scheduled backup of ${actor.name}`, seconds, look: story.avamar.url },
    async () => {
      const found = await find();
      return lookout.sighting ?? (found?.status === 'IN_PROGRESS' ? undefined : found);
    },
  );
  const seen = lookout.sighting;
  if (seen === undefined) screen.line('it had ended when Holdfast noticed it: that makes a result without a lock');
  else {
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
}

function isStillRecorded({ status, restorable }: { readonly status: string; readonly restorable: boolean }): boolean {
  return status === 'SUCCEEDED' && !restorable;
}
