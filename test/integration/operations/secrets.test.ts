import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWorld, type World } from './world.ts';

/** The password of the backup system in these tests. */
const CANARY = 'avamar-simulator';

let world: World;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
});
afterAll(() => world.stop());

/** Everything that Temporal keeps of a run, with its payloads as text. */
async function historyOf(workflowId: string): Promise<string> {
  const history = await world.client.workflow.getHandle(workflowId).fetchHistory();
  return JSON.stringify(history, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value,
  );
}

test('the password of a backup system is in no history, no row but its sealed one, and no log', async () => {
  const vmId = await world.newVm('canary-1', [await world.newPolicy('GOLD')]);
  const request = { principal: world.principal, vmId, body: {} };
  const ids: string[] = [];
  await world.breakAvamar({
    method: 'POST',
    path: '/api/oauth/token',
    when: 'before',
    times: 1,
    action: { status: 500 },
  });
  for (const kind of ['deploy', 'backup', 'undeploy'] as const) {
    const { operationId } = await world.requests[kind](request);
    expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
    ids.push((await world.operation(operationId)).workflow_id);
  }
  for (const id of ids) {
    const history = await historyOf(id);
    expect(history).toContain('canary-1');
    expect(history).not.toContain(CANARY);
  }
  const tables = await world.db.introspection.getTables();
  for (const table of tables.filter(({ schema }) => schema === 'public')) {
    const rows = await world.db
      .selectFrom(table.name as 'event')
      .selectAll()
      .execute();
    expect(JSON.stringify(rows), table.name).not.toContain(CANARY);
  }
  expect(world.log.join('')).toContain('operation ended');
  expect(world.log.join('')).not.toContain(CANARY);
});
