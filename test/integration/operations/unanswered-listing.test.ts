/** A backup system that answers, but not when it is asked for the backups of some virtual machines. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 0.3 });
  gold = await world.newPolicy('GOLD');
  await world.newDestination('lisbon');
});
afterEach(() => world.mendAvamar());
afterAll(() => world.stop());

const watch = () => world.db.selectFrom('manager_watch').selectAll().executeTakeFirst();

async function clientOf(vmId: string): Promise<string> {
  const references = world.db.selectFrom('vm_reference').select('ref').where('vm_id', '=', vmId);
  return (await references.where('system', '=', 'BACKUP_SYSTEM').executeTakeFirstOrThrow()).ref;
}

test('one VM whose backups it does not list keeps neither the looks nor the syncs of the others from their end', async () => {
  const cid = await clientOf(await world.deployed('unlisted', [gold]));
  const path = `/clients/${cid}/backups$`;
  await world.breakAvamar({ method: 'GET', path, when: 'before', action: { drop: true } });
  const since = Date.now();
  await until(
    'a sync and a look have ended',
    watch,
    (row) =>
      row?.last_error === null &&
      (row.results_synced_at?.getTime() ?? 0) > since + 2_000 &&
      (row.sessions_watermark?.getTime() ?? 0) > since,
    30_000,
  );
}, 60_000);

test('the end of a replication that failed is told all the same, and nothing is listed for it', async () => {
  const vmId = await world.deployed('not-copied', [gold]);
  await world.copiesTake(0.5);
  await world.avamarOutcome({ kind: 'replication', state: 'FAILURE', codeReason: 'It is dead.', times: 1 });
  const action = { status: 500, body: { code: 1, message: 'The other server is dead.' } };
  await world.breakAvamar({ method: 'GET', path: '/clients/[^/]+/backups$', when: 'before', action });
  const body = { policyId: gold, replication: true };
  await world.ended((await world.requests.backup({ ...world.request(vmId), body })).operationId);
  const events = () =>
    world.db
      .selectFrom('event')
      .selectAll()
      .where('vm_id', '=', vmId)
      .where('action', '=', 'BACKUP_WITH_REPLICATION_FINISH')
      .execute();
  const [event] = await until('the failure is told', events, (found) => found.length > 0, 30_000);
  expect(event).toMatchObject({
    severity: 'ERROR',
    details: { vendorMessage: expect.stringContaining('It is dead.') },
  });
}, 60_000);
