/**
 * Scene 4: backups on demand, and what others see meanwhile.
 * @module
 */
import { type Api, refusalOf } from '../api-client.ts';
import { BackupResult, type Operation, VirtualMachine } from '../documents.ts';
import { succeeded } from '../operations.ts';
import { type Actor, type Cast, expect, type Story, StoryEnds, until } from '../story.ts';
import { date, duration, short, size, slug } from '../wording.ts';

/** The disk of the data that are lost and found again: the second, after the system's. */
const MARKER_DISK = 1;

/** What a backup left. */
export interface Backups {
  readonly marker: string;
  readonly restored: BackupResult;
  readonly expiring: BackupResult;
}

/** The label of the disk on which the marker is written. */
export function markerDisk({ plan, name }: Actor): string {
  const disk = plan.disks[MARKER_DISK];
  if (disk === undefined) throw new Error(`${name} has no second disk`);
  return disk.label;
}

/** Scene 4. */
export async function backUp(story: Story, cast: Cast): Promise<Backups> {
  const { screen, hypervisor, platform } = story;
  const { restored, expiring, onVeeam } = cast;
  screen.scene(
    4,
    'Back up now',
    'Users of the enterprises ask for backups; until these end nobody else can touch the machines.',
  );

  const marker = `orders up to ${new Date().toISOString()}`;
  for (const actor of [restored, onVeeam.restored]) {
    await hypervisor.writeDisk(actor.id, markerDisk(actor), marker);
    screen.line(`${actor.name} writes on its disk "${markerDisk(actor)}": ${marker}`);
  }
  await refusedOnDemand(story, onVeeam.restored);

  const begun = await Promise.all(
    [restored, expiring].map(({ tenant, id }) => tenant.user.begin(`/v1/virtual-machines/${id}/backup`)),
  );
  const [operation] = begun as [Operation, Operation];
  const listed = await until(
    story,
    { text: `waiting until the backup of ${restored.name} is listed`, seconds: 60, look: operation.links.temporalUi },
    () => resultOf(restored.tenant.user, restored, operation.id),
  );
  expect(
    story,
    listed.status === 'IN_PROGRESS',
    `the backup is listed at once, as ${listed.status}`,
    operation.links.temporalUi,
  );
  await showLock(story, restored, operation);

  const [one, two] = cast.tenants;
  const stranger = one.id === restored.tenant.id ? two : one;
  const path = `/v1/virtual-machines/${restored.id}`;
  const second = await refusalOf(platform.begin(`${path}/power-off`));
  screen.aside(`The platform wants to power ${restored.name} off: ${second?.problem.detail ?? 'accepted'}`);
  const named = second?.status === 409 && second.problem.holder?.operationId === operation.id;
  expect(story, named, 'a second operation is refused with 409, which names the holder', operation.links.temporalUi);
  const foreign = await refusalOf(stranger.user.get(path, VirtualMachine));
  expect(story, foreign?.status === 404, `for a user of ${stranger.name} there is no ${restored.name} (404)`, path);

  await succeeded(story, begun);
  const results = await Promise.all(
    [restored, expiring].map(async (actor, index) => {
      const result = await resultOf(actor.tenant.user, actor, begun[index]?.id ?? '');
      if (result !== undefined) return result;
      throw new StoryEnds({
        what: `${actor.name} has no result of its backup`,
        look: `/v1/virtual-machines/${actor.id}/backup-results`,
      });
    }),
  );
  screen.line();
  screen.table(results.map((result, index) => [([restored, expiring][index] as Actor).name, ...resultRow(result)]));
  const good = results.every(({ status, restorable }) => status === 'SUCCEEDED' && restorable);
  expect(story, good, 'both backups have succeeded and can be restored', `${path}/backup-results`);
  if (restored.policy.replication) await seeCopied(story, restored, results[0] as BackupResult);
  return { marker, restored: results[0] as BackupResult, expiring: results[1] as BackupResult };
}

/** A copy on a second server: it travels after the backup, and the machine is free meanwhile. */
async function seeCopied(story: Story, { id, name, tenant }: Actor, { id: resultId }: BackupResult): Promise<void> {
  const path = `/v1/backup-results/${resultId}`;
  const { lock } = await tenant.user.get(`/v1/virtual-machines/${id}`, VirtualMachine);
  expect(story, lock === null, `${name} is free while its backup is copied to a second server`, path);
  const waiting = { text: `waiting until the backup of ${name} is copied`, seconds: 120, look: path };
  const copied = await until(story, waiting, async () => {
    const result = await tenant.user.get(path, BackupResult);
    const ended = result.lastReplication !== null && result.lastReplication.status !== 'IN_PROGRESS';
    return ended && (result.copies.length > 1 || result.lastReplication?.status === 'FAILED') ? result : undefined;
  });
  const places = copied.copies.map(({ location, locationName }) => locationName ?? location).join(' and in ');
  const both = copied.lastReplication?.status === 'SUCCEEDED' && copied.copies.every(({ state }) => state === 'LISTED');
  expect(
    story,
    both,
    `the backup of ${name} lies in ${places}; its replication ${copied.lastReplication?.status}`,
    path,
  );
}

/** Veeam backs up by schedule only, and a request that cannot be served is refused before anything begins. */
async function refusedOnDemand(story: Story, { id, name, tenant }: Actor): Promise<void> {
  const refusal = await refusalOf(tenant.user.begin(`/v1/virtual-machines/${id}/backup`));
  story.screen.aside(`A user wants ${name} to be backed up now: ${refusal?.problem.detail ?? 'accepted'}`);
  const code = refusal?.problem.code ?? 'nothing';
  const refused = code === 'BACKUP_ONDEMAND_NOT_SUPPORTED';
  expect(story, refused, `it is refused with ${code}`, `GET /v1/plugin-types`);
}

/** The result that an operation made; `undefined` before it is listed. */
async function resultOf(api: Api, { id }: Actor, operationId: string): Promise<BackupResult | undefined> {
  const results = await api.list(`/v1/virtual-machines/${id}/backup-results`, BackupResult);
  return results.find((result) => result.operationId === operationId);
}

/** Name, state, duration, size, copies and expiry of a result. */
export function resultRow(result: BackupResult): string[] {
  const { name, status, startedAt, endedAt, sizeBytes, copies } = result;
  return [
    short(name),
    status,
    endedAt === null ? '' : `took ${duration(Date.parse(endedAt) - Date.parse(startedAt))}`,
    size(sizeBytes),
    ...copies.map(
      ({ location, locationName, state, expiresAt, expiryEstimated }) =>
        `copy in ${locationName ?? location}, ${state}, expires ${expiryEstimated ? 'about ' : ''}${date(expiresAt)}`,
    ),
  ];
}

async function showLock(story: Story, { id, name, tenant }: Actor, operation: Operation): Promise<void> {
  const { state, lock } = await tenant.user.get(`/v1/virtual-machines/${id}`, VirtualMachine);
  const why = lock === null ? 'by nobody' : `by a ${slug(lock.kind)} for ${lock.ageSeconds} s: ${lock.reason}`;
  expect(
    story,
    state === 'LOCKED' && lock?.operationId === operation.id,
    `${name} reads ${state}, ${why}`,
    operation.links.temporalUi,
  );
}
