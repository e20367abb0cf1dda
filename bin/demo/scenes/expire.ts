/**
 * Scene 9: a backup expires in the backup system.
 * @module
 */
import { refusalOf } from '../api-client.ts';
import { BackupResult } from '../documents.ts';
import { type Cast, expect, type Story, StoryEnds, until } from '../story.ts';
import { clock } from '../wording.ts';
import type { Backups } from './back-up.ts';

/** Holdfast must learn of the new date, at a look every 30 s, before it has passed. Milliseconds. */
const EXPIRES_IN_MS = 50_000;

/** Scene 9. */
export async function expire(story: Story, { expiring: actor }: Cast, { expiring }: Backups): Promise<void> {
  const { screen, avamar } = story;
  screen.scene(
    9,
    'A backup expires',
    "At the backup system's console its expiry is brought forward; Holdfast finds out by itself.",
  );
  const path = `/v1/backup-results/${expiring.id}`;
  const [copy] = expiring.copies;
  const at = new Date(Date.now() + EXPIRES_IN_MS);
  const backup = { name: expiring.name, labelNumber: copy?.vendorId ?? '' };
  if (!(await avamar.expireBackup(actor.name, backup, at))) {
    throw new StoryEnds({
      what: `The backup system does not list ${expiring.name} of ${actor.name}`,
      look: avamar.url,
    });
  }
  screen.line(`${expiring.name} of ${actor.name} expires at ${clock(at.toISOString())} now`);
  const read = () => actor.tenant.user.get(path, BackupResult);
  const known = async () => {
    const result = await read();
    return result.copies.some(({ expiresAt }) => expiresAt !== null && Date.parse(expiresAt) === at.getTime())
      ? result
      : undefined;
  };
  await until(story, { text: 'waiting until Holdfast knows the new date', seconds: 60, look: path }, known);
  expect(story, true, 'Holdfast knows the new date', path);

  const gone = await until(
    story,
    {
      text: `it expires at ${clock(at.toISOString())}, and an absence is believed after two checks`,
      seconds: 180,
      look: path,
    },
    async () => {
      const result = await read();
      return result.copies.every(({ state }) => state === 'LISTED') ? undefined : result;
    },
  );
  const states = gone.copies.map(({ state }) => state).join(', ');
  expect(
    story,
    states === 'EXPIRED' && !gone.restorable,
    `the copy is ${states}; the result stays listed and cannot be restored`,
    path,
  );
  const refusal = await refusalOf(actor.tenant.user.begin(`${path}/restores`));
  screen.aside(`A user wants to restore it: ${refusal?.problem.detail ?? 'accepted'}`);
  expect(story, refusal?.problem.code === 'BACKUP_STATUS_FOR_RESTORE', 'restoring it is refused', path);
}
