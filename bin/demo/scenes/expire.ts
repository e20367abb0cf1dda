/**
 * Scene 10: backups expire in the backup systems. Avamar names the date, and Holdfast follows it; Veeam names none, so
 * Holdfast estimates it, and believes the server.
 * @module
 */
import { refusalOf } from '../api-client.ts';
import { BackupResult } from '../documents.ts';
import { type Actor, type Cast, expect, type Story, StoryEnds, until } from '../story.ts';
import { clock } from '../wording.ts';

/** Holdfast must learn of the new date, at a look every 30 s, before it has passed. Milliseconds. */
const EXPIRES_IN_MS = 50_000;
/** Veeam's clock is turned back so far that the date which is estimated for a backup of now passes after this time. */
const ESTIMATE_PASSES_IN_SECONDS = 60;
const DAY_SECONDS = 86_400;
/** How long the runs take by which Veeam applies its retention. */
const LAST_RUN_SECONDS = 4;

/** A backup of the story, and whose it is. */
interface Expiring {
  readonly actor: Actor;
  readonly result: BackupResult;
}

/** Before the deploys: nobody waits for days, so Veeam's clock is turned back by those that a backup is kept. */
export async function turnClockBack({ screen, veeam }: Story, { onVeeam: { expiring } }: Cast): Promise<void> {
  const days = expiring.policy.retentionDays;
  await veeam.turnClock(ESTIMATE_PASSES_IN_SECONDS - days * DAY_SECONDS);
  screen.aside(
    `The clock of the Veeam simulator is turned back by ${days === 1 ? 'a day' : `${days} days`} less a minute: what it backs up now is old soon.`,
  );
}

/** While other scenes are played: at Avamar's console the expiry of a backup is brought forward. @returns the new date. */
export async function bringForward({ screen, avamar }: Story, { actor, result }: Expiring): Promise<Date> {
  const [copy] = result.copies;
  const at = new Date(Date.now() + EXPIRES_IN_MS);
  const backup = { name: result.name, labelNumber: copy?.vendorId ?? '' };
  if (!(await avamar.expireBackup(actor.name, backup, at))) {
    throw new StoryEnds({
      what: `The backup system does not list ${result.name} of ${actor.name}`,
      look: avamar.endpoint,
    });
  }
  screen.line();
  screen.aside(
    `Meanwhile, for scene 10, at Avamar's console the expiry of a backup of ${actor.name} is brought forward.`,
  );
  return at;
}

/** Scene 10. @param onAvamar the backup whose expiry was brought forward, and to when. */
export async function expire(
  story: Story,
  onAvamar: Expiring & { readonly at: Date },
  onVeeam: Expiring,
): Promise<void> {
  const { screen, veeam } = story;
  screen.scene(
    10,
    'Backups expire',
    'In Avamar by a date that was brought forward, in Veeam by its retention; Holdfast finds out by itself.',
  );
  await becomesOverdue(story, onVeeam);
  await veeam.runsTake(LAST_RUN_SECONDS);
  await veeam.putClockRight();
  screen.aside(
    'The clock of Veeam is put right: its jobs run again, and at their end its retention removes what is old.',
  );

  await learnsTheDate(story, onAvamar);
  await hasExpired(story, onAvamar);
  await hasExpired(story, onVeeam);
  const listed = await veeam.listsPoint(vendorIdOf(onVeeam.result));
  expect(story, !listed, `Veeam ${listed ? 'still lists' : 'no longer lists'} ${onVeeam.result.name}`, veeam.endpoint);
}

/** The estimated date passes while the server still lists the backup. */
async function becomesOverdue(story: Story, { actor, result }: Expiring): Promise<void> {
  const { screen, veeam } = story;
  const path = `/v1/backup-results/${result.id}`;
  const [copy] = result.copies;
  const days = (Date.parse(copy?.expiresAt ?? '') - Date.parse(result.startedAt)) / (DAY_SECONDS * 1_000);
  expect(
    story,
    copy?.expiryEstimated === true && Math.round(days) === actor.policy.retentionDays,
    `Veeam names no date: that of ${result.name} is estimated by the retention of ${actor.policy.code}, ${Math.round(days)} d`,
    path,
  );
  const overdue = await until(
    story,
    { text: `waiting until that date has passed, ${clock(copy?.expiresAt ?? '')}`, seconds: 150, look: path },
    async () => {
      const now = await actor.tenant.user.get(path, BackupResult);
      return now.copies.every((one) => one.overdue) || !now.restorable ? now : undefined;
    },
  );
  const listed = await veeam.listsPoint(vendorIdOf(result));
  expect(
    story,
    overdue.restorable && listed,
    `the date has passed and the server ${listed ? 'still lists it' : 'does not list it'}: it is overdue, and can be restored`,
    path,
  );
  screen.line();
}

async function learnsTheDate(story: Story, { actor, result, at }: Expiring & { readonly at: Date }): Promise<void> {
  const path = `/v1/backup-results/${result.id}`;
  const isKnown = async () => {
    const { copies } = await actor.tenant.user.get(path, BackupResult);
    return copies.some(({ expiresAt }) => expiresAt !== null && Date.parse(expiresAt) === at.getTime()) || undefined;
  };
  await until(story, { text: 'waiting until Holdfast knows the new date', seconds: 60, look: path }, isKnown);
  expect(story, true, `Holdfast knows the date that Avamar was given, ${clock(at.toISOString())}`, path);
}

async function hasExpired(story: Story, { actor, result }: Expiring): Promise<void> {
  const path = `/v1/backup-results/${result.id}`;
  const text = `an absence is believed after two checks: waiting for the end of ${result.name}`;
  const gone = await until(story, { text, seconds: 180, look: path }, async () => {
    const now = await actor.tenant.user.get(path, BackupResult);
    return now.copies.every(({ state }) => state === 'LISTED') ? undefined : now;
  });
  const states = gone.copies.map(({ state }) => state).join(', ');
  expect(
    story,
    states === 'EXPIRED' && !gone.restorable,
    `the copy of ${actor.name} is ${states}; the result stays listed and cannot be restored`,
    path,
  );
  const refusal = await refusalOf(actor.tenant.user.begin(`${path}/restores`));
  story.screen.aside(`A user wants to restore it: ${refusal?.problem.detail ?? 'accepted'}`);
  expect(story, refusal?.problem.code === 'BACKUP_STATUS_FOR_RESTORE', 'restoring it is refused', path);
}

const vendorIdOf = ({ copies }: BackupResult): string => copies[0]?.vendorId ?? '';
