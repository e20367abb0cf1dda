/** VMs that become clients, and clients that are retired. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BackupSystem, ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import { copyOf, openContext, resultsOf } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, ended, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
const context = openContext();
const schedule = scheduleOf([daily('23:00')]);

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
});
afterEach(async () => {
  await world.noFaults();
  await world.settings({ taskSeconds: 0.05 });
});
afterAll(() => world.close());

/** The clients that were made of a VM, retired ones too. */
async function clientsOf(vm: ProtectedVm): Promise<Record<string, unknown>[]> {
  return (await world.clients()).filter(({ name }) => name.startsWith(`${vm.name}_`));
}

const retire = (cid: string) => world.atConsole('POST', `/clients/${cid}/retire`, {});

describe('a VM becomes a client', () => {
  const TASKS = { method: 'GET', path: '/tasks/', when: 'before' } as const;
  const failureOf = (vm: ProtectedVm, system = avamar): Promise<unknown> =>
    system.applySchedule(context, vm, schedule, undefined).catch((error: unknown) => error);

  /** The task does not come to an end by itself, whatever is said of it. */
  beforeEach(async () => {
    await world.settings({ taskSeconds: 3_600 });
  });

  /** What was left unclear does no harm: the next attempt has one client, and a schedule on it. */
  async function expectRecovery(vm: ProtectedVm): Promise<void> {
    await world.noFaults();
    await world.settings({ taskSeconds: 0.05 });
    const ref = await until(
      () => avamar.applySchedule(context, vm, schedule, undefined).catch(() => undefined),
      (made) => made !== undefined,
    );
    expect(await clientsOf(vm)).toMatchObject([{ id: ref?.vmRef }]);
  }

  test.each([
    [
      'succeeds as a whole and fails for this VM: refused in the words about this VM',
      { result: [{ name: 'x', success: false, error: { code: 1, message: 'The VM is a template.' } }] },
      { kind: 'REFUSED', vendorMessage: 'The VM is a template.', message: expect.stringContaining('refused to make') },
    ],
    [
      'fails as a whole: it may be another time',
      { completedExceptionally: true, error: { code: 503, message: 'The vCenter does not answer.' } },
      { kind: 'FAILED', vendorMessage: 'The vCenter does not answer.' },
    ],
    ['fails without a word', { completedExceptionally: true }, { kind: 'FAILED', vendorMessage: 'no reason given' }],
    ['is cancelled by somebody', { cancelled: true }, { kind: 'FAILED', vendorMessage: 'the task was cancelled' }],
    [
      'ends with neither a result nor an error',
      {},
      { kind: 'NO_ANSWER', message: expect.stringContaining('did not show') },
    ],
  ])('in a task that %s', async (_, end, failure) => {
    const vm = await world.deploy(`task-${crypto.randomUUID().slice(0, 8)}`);
    await world.fault({ ...TASKS, action: { status: 200, body: { id: 'any', done: true, ...end } } });
    expect(await failureOf(vm)).toMatchObject(failure);
    expect(await clientsOf(vm)).toEqual([]);
    const { groups, schedules } = await world.inventory();
    expect([...groups, ...schedules].filter(({ name }) => name.includes(vm.id))).toEqual([]);
    await expectRecovery(vm);
  });

  test('in a task that is lost: unknown', async () => {
    const vm = await world.deploy('lost-task');
    await world.fault({ ...TASKS, action: { status: 404 } });
    expect(await failureOf(vm)).toMatchObject({
      kind: 'NO_ANSWER',
      transient: true,
      message: `the backup system avamar-1 no longer knows the task that was to make ${vm.name} a client`,
    });
    await expectRecovery(vm);
  });

  test('in a task that goes on for longer than it may: unknown', async () => {
    const vm = await world.deploy('endless-task');
    expect(await failureOf(vm, world.connect({}, { clientTaskSeconds: 1 }))).toMatchObject({
      kind: 'NO_ANSWER',
      message: `the backup system avamar-1 is still at work after 1 s to make ${vm.name} a client`,
    });
    await expectRecovery(vm);
  });

  test('once, when two ask for it at the same moment', async () => {
    await world.settings({ taskSeconds: 0.05 });
    const vm = await world.deploy('asked-twice');
    const refs = await Promise.all([avamar, world.connect()].map((system) => system.vmReference(context, vm)));
    expect(new Set(refs).size).toBe(1);
    expect(await clientsOf(vm)).toHaveLength(1);
  });

  test('in the domain that the configuration names, else in that of its vCenter', async () => {
    await world.settings({ taskSeconds: 0.05 });
    const [vm, other] = [await world.deploy('in-domain'), await world.deploy('in-vcenter')];
    await avamar.vmReference(context, other);
    const [{ domainFqdn } = {}] = await clientsOf(other);
    const clientDomain = `${String(domainFqdn)}/tenants`;
    await world.connect({}, { clientDomain }).vmReference(context, vm);
    expect(await clientsOf(vm)).toMatchObject([{ domainFqdn: clientDomain }]);
    const elsewhere = await world.deploy('elsewhere');
    await expect(
      world.connect({}, { clientDomain: '/elsewhere' }).vmReference(context, elsewhere),
    ).rejects.toMatchObject({ kind: 'REFUSED', vendorMessage: expect.stringContaining('/elsewhere') });
  });
});

describe('a client', () => {
  async function backedUp(vm: ProtectedVm) {
    const { vendorSessionId, vendorVmRef } = await avamar.startBackup(context, vm, { retentionDays: 7, disks: null });
    await ended(avamar, context, vendorSessionId);
    const [result] = await resultsOf(avamar, [{ vendorVmRef, schedule: null }]);
    if (result === undefined) throw new Error(`${vm.name} has no backup`);
    return { cid: vendorVmRef, result };
  }
  const listedOf = (cid: string) => resultsOf(avamar, [{ vendorVmRef: cid, schedule: null }]);

  test('outlives an undeploy, and what it has can be restored into the VM that is deployed again', async () => {
    const vm = await world.deploy('deployed-again');
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    const { cid, result } = await backedUp(vm);
    await avamar.removeSchedule(context, vm, ref);
    expect(await clientsOf(vm)).toMatchObject([{ id: cid, enabled: true }]);
    const again = await world.redeploy(vm);
    const after = await avamar.applySchedule(context, { ...again, vendorRefs: [cid] }, schedule, undefined);
    expect(after.vmRef).not.toBe(cid);
    expect(await listedOf(cid)).toEqual([result]);
    const restore = await avamar.startRestore(context, again, copyOf(result));
    expect(await ended(avamar, context, restore.vendorSessionId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  test('of a schedule that was removed and made again on the same machine is the same', async () => {
    const vm = await world.deploy('found-again');
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    await avamar.removeSchedule(context, vm, ref);
    expect((await avamar.applySchedule(context, vm, schedule, undefined)).vmRef).toBe(ref.vmRef);
    expect(await clientsOf(vm)).toHaveLength(1);
  });

  test('that somebody has retired keeps its backups, restorable, and the VM gets another', async () => {
    const vm = await world.deploy('retired');
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    const { cid, result } = await backedUp(vm);
    await retire(cid);
    expect(await listedOf(cid)).toEqual([result]);
    expect((await avamar.listed(context, [copyOf(result)])).size).toBe(1);

    const after = await avamar.applySchedule(context, vm, schedule, ref);
    expect(after.vmRef).not.toBe(cid);
    const [group] = (await world.inventory()).groups.filter(({ name }) => name.includes(vm.id));
    expect(await world.atConsole('GET', `/groups/${group?.id}/members`)).toMatchObject({
      content: [{ cid: after.vmRef }],
    });
    const restore = await avamar.startRestore(context, vm, copyOf(result));
    expect(await ended(avamar, context, restore.vendorSessionId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  test.each([
    ['is retired', retire],
    ['was deleted', (cid: string) => world.atConsole('DELETE', `/clients/${cid}`)],
  ])('that %s does not count, though the vCenter still names it', async (_, end) => {
    const vm = await world.deploy(`stale-${crypto.randomUUID().slice(0, 8)}`);
    const cid = await avamar.vmReference(context, vm);
    const { content } = (await world.atConsole('GET', '/virtualcenters?domain=/&recursive=true')) as {
      content: { cid: string }[];
    };
    const path = `/virtualcenters/${content[0]?.cid}/entities/VirtualMachine:${vm.hypervisorRef}`;
    const body = await world.atConsole('GET', path);
    await end(cid);
    const stale = { method: 'GET', path: `/entities/VirtualMachine(:|%3A)${vm.hypervisorRef}$`, when: 'before' };
    await world.fault({ ...stale, times: 1, action: { status: 200, body } });
    const now = await avamar.vmReference(context, vm);
    expect(now).not.toBe(cid);
    expect(await avamar.vmReference(context, vm)).toBe(now);
  });
});
