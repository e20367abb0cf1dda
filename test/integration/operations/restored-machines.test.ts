/** Restores that make a machine of their own: exactly one machine is left, and it is the restored one. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { markOf } from '../../../activities/hypervisors/mark.ts';
import { type restoringBeside, startWorldBeside } from './restoring-beside.ts';
import { type Fault, until, type World } from './world.ts';

let world: World;
let veeam: ReturnType<typeof restoringBeside>;
let gold: string;
beforeAll(async () => {
  ({ world, veeam, gold } = await startWorldBeside());
});
afterAll(() => world.stop());
beforeEach(() => {
  veeam.restores({});
  veeam.control.refuses = false;
});
afterEach(() => world.mendHypervisor());

const content = async (vmId: string, text?: string): Promise<string> => {
  const url = `${world.hypervisorUrl}/vms/${vmId}/disks/data/content`;
  if (text !== undefined) await fetch(url, { method: 'PUT', body: JSON.stringify({ content: text }) });
  return ((await (await fetch(url)).json()) as { content: string }).content;
};

/** The machines that bear the VM's mark: those that are it, and all. */
async function machines(vmId: string) {
  const marked = (await world.hypervisorVms()).filter(({ annotation }) => annotation?.includes(markOf(vmId)));
  return {
    all: marked.map(({ moref }) => moref),
    is: marked.filter(({ id }) => id === vmId).map(({ moref }) => moref),
  };
}

const power = (moref: string, state: 'ON' | 'OFF') =>
  fetch(`${world.hypervisorUrl}/morefs/${moref}/power`, { method: 'PUT', body: JSON.stringify({ state }) });

const succeeds = async (requested: Promise<{ operationId: string }>): Promise<string> => {
  const { operationId } = await requested;
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  return operationId;
};

/** A VM that is switched off, with a backup of when "before" was on its disk; there is "after" now. */
async function backedUp(name: string) {
  const vmId = await world.deployed(name, [gold]);
  await content(vmId, 'before');
  const [machine] = (await machines(vmId)).is;
  const point = await veeam.backUp(machine ?? '');
  const { id: resultId } = (await until(
    'the backup is listed',
    () => world.db.selectFrom('backup_result').select('id').where('vm_id', '=', vmId).executeTakeFirst(),
    (row) => row !== undefined,
  )) as { id: string };
  await content(vmId, 'after');
  await succeeds(world.requests.powerOff(world.request(vmId)));
  return { vmId, machine: machine ?? '', point, resultId };
}

const restore = (resultId: string) => world.requests.restore({ principal: world.principal, resultId, body: {} });

const TAKEN = ['REQUEST_RESTORE DONE', 'WATCH DONE', 'REFRESH DONE'];

/** The operation that a restore at the console gets, once it has ended. */
const observed = async (vmId: string) => {
  const row = await until(
    'the restore is adopted',
    () =>
      world.db
        .selectFrom('operation')
        .select('id')
        .where('vm_id', '=', vmId)
        .where('kind', '=', 'RESTORE')
        .executeTakeFirst(),
    (found) => found !== undefined,
  );
  await world.ended(row?.id ?? '');
  return row?.id ?? '';
};

describe('a restore beside the VM', () => {
  test.each([true, false])('becomes the VM, and the one that it superseded is removed (told: %s)', async (tells) => {
    veeam.restores({ tells });
    const { vmId, machine, resultId } = await backedUp(`beside-${tells}`);
    const operationId = await succeeds(restore(resultId));
    expect(await world.story(operationId)).toEqual([...TAKEN, 'REPLACE DONE', 'BACKUP_SCHEDULE DONE', 'RECORD DONE']);
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(is).toHaveLength(1);
    expect(is).not.toEqual([machine]);
    expect(await content(vmId)).toBe('before');
    expect(veeam.control.scheduled.get(vmId)).toBe(is[0]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'OFF', operation_id: null });
    await succeeds(world.requests.powerOn(world.request(vmId)));
    await succeeds(world.requests.undeploy(world.request(vmId)));
    expect((await machines(vmId)).all).toEqual([]);
  });

  test('that has put it in the place of the VM itself leaves nothing to remove', async () => {
    veeam.restores({ replaces: true });
    const { vmId, machine, resultId } = await backedUp('in-place');
    const operationId = await succeeds(restore(resultId));
    expect(await world.story(operationId)).toContain('REPLACE SKIPPED');
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(is).not.toEqual([machine]);
    expect(veeam.control.scheduled.get(vmId)).toBe(is[0]);
  });

  test('of a VM that was undeployed and deployed again leaves the restored one', async () => {
    const { vmId, resultId } = await backedUp('again');
    await succeeds(world.requests.undeploy(world.request(vmId)));
    await succeeds(world.requests.deploy(world.request(vmId)));
    await succeeds(world.requests.powerOff(world.request(vmId)));
    await succeeds(restore(resultId));
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(is).toHaveLength(1);
    expect(await content(vmId)).toBe('before');
  });

  test.each<[string, Pick<Fault, 'method' | 'path' | 'when' | 'action'>]>([
    ['the machines that were there', { method: 'GET', path: '/vms$', when: 'after', action: { drop: true } }],
    ['the taking over', { method: 'PUT', path: '/identity$', when: 'after', action: { drop: true } }],
    [
      'the taking over, which never arrived',
      { method: 'PUT', path: '/identity$', when: 'before', action: { drop: true } },
    ],
    ['the removal', { method: 'DELETE', path: '/morefs/', when: 'after', action: { drop: true } }],
    ['the removal, which failed', { method: 'DELETE', path: '/morefs/', when: 'before', action: { status: 503 } }],
  ])(
    'goes on when the answer is lost to %s',
    async (what, fault) => {
      const { vmId, resultId } = await backedUp(`lost-${what.replaceAll(/\W+/g, '-')}`);
      await world.breakHypervisor({ ...fault, times: 1 });
      const operationId = await succeeds(restore(resultId));
      expect(await world.story(operationId)).toContain('REPLACE DONE');
      const { all, is } = await machines(vmId);
      expect(all).toEqual(is);
      expect(is).toHaveLength(1);
      expect(await content(vmId)).toBe('before');
    },
    90_000,
  );

  test.each<[string, string, string]>([
    ['takes it over', 'PUT', '/identity$'],
    ['removes the other one', 'DELETE', '/morefs/'],
  ])(
    'whose run is lost while it %s is carried on',
    async (_, method, path) => {
      const { vmId, resultId } = await backedUp(`run-lost-${method}`);
      await world.breakHypervisor({ method, path, when: 'after', times: 1, action: { hold: true } });
      const { operationId } = await restore(resultId);
      await world.hypervisorHolds();
      const { workflow_id: workflowId } = await world.operation(operationId);
      await world.client.workflow.getHandle(workflowId).terminate('by an operator');
      await world.mendHypervisor();
      expect(await world.ended(operationId, 90_000)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
      const { all, is } = await machines(vmId);
      expect(all).toEqual(is);
      expect(is).toHaveLength(1);
      expect(await content(vmId)).toBe('before');
    },
    120_000,
  );
});

describe('a machine that was superseded', () => {
  test('and was switched on since is left and named; a cleanup removes it once it is off, and nothing else', async () => {
    const { vmId, machine, resultId } = await backedUp('switched-on');
    await power(machine, 'ON');
    const operationId = await succeeds(restore(resultId));
    expect(await world.story(operationId)).toEqual([...TAKEN, 'REPLACE FAILED', 'BACKUP_SCHEDULE DONE', 'RECORD DONE']);
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: true });
    expect(await world.uncleared(operationId)).toMatchObject([
      {
        system: 'HYPERVISOR',
        ref: machine,
        step: 'REPLACE',
        description: `${machine} may be left in dc-madrid beside switched-on, whose mark it bears`,
        remove_with: `POST /v1/operations/${operationId}/retry-cleanup`,
      },
    ]);
    const [restored] = (await machines(vmId)).is;
    expect(await world.vm(vmId)).toMatchObject({ state: 'OFF' });

    const cleanup = () => world.requests.retryCleanup({ principal: world.principal, operationId });
    const early = await world.ended((await cleanup()).operationId);
    expect(early).toMatchObject({ state: 'FAILED', error: { code: 'SUPERSEDED_VM_IN_USE' } });
    expect((await machines(vmId)).all).toContain(machine);

    await power(machine, 'OFF');
    await succeeds(cleanup());
    expect(await machines(vmId)).toEqual({ all: [restored], is: [restored] });
    expect(await world.uncleared(operationId)).toEqual([]);
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false });
    expect(await world.vm(vmId)).toMatchObject({ state: 'OFF' });
    expect(await content(vmId)).toBe('before');
  });

  test('does not go with the VM: it stays named after an undeploy, until it is cleaned up', async () => {
    const { vmId, machine, resultId } = await backedUp('stays');
    await power(machine, 'ON');
    const operationId = await succeeds(restore(resultId));
    await power(machine, 'OFF');
    await succeeds(world.requests.undeploy(world.request(vmId)));
    expect((await machines(vmId)).all).toEqual([machine]);
    expect(await world.uncleared(operationId)).toHaveLength(1);
    await succeeds(world.requests.retryCleanup({ principal: world.principal, operationId }));
    expect((await machines(vmId)).all).toEqual([]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED' });
  });

  test('and was registered as another VM since is not removed by a cleanup', async () => {
    const { vmId, machine, resultId } = await backedUp('registered');
    await power(machine, 'ON');
    const operationId = await succeeds(restore(resultId));
    const { principal, enterpriseId, datacenterId } = world;
    const body = { name: 'registered-2', enterpriseId, datacenterId, hypervisorRef: machine };
    await succeeds(world.requests.register({ principal, body }));
    await power(machine, 'OFF');
    await succeeds(world.requests.retryCleanup({ principal, operationId }));
    expect((await world.hypervisorVms()).map(({ moref }) => moref)).toContain(machine);
    expect((await machines(vmId)).all).not.toContain(machine);
  });
});

describe('a restore of which nobody can tell the machine', () => {
  test.each([0, 2])('has failed and changes nothing (%i are new)', async (makes) => {
    veeam.restores({ makes });
    const { vmId, machine, resultId } = await backedUp(`unclear-${makes}`);
    const { operationId } = await restore(resultId);
    expect(await world.ended(operationId)).toMatchObject({ state: 'FAILED', error: { code: 'RESTORED_VM_UNCLEAR' } });
    const { all, is } = await machines(vmId);
    expect(is).toEqual([machine]);
    expect(all).toHaveLength(1 + makes);
    expect(await world.vm(vmId)).toMatchObject({ state: 'OFF', operation_id: null });
    expect(veeam.control.scheduled.get(vmId)).toBe(machine);
  });

  test('and that has taken the place of the VM leaves it UNKNOWN, and an undeploy goes on from there', async () => {
    veeam.restores({ makes: 2, replaces: true });
    const { vmId, resultId } = await backedUp('unclear-gone');
    const { operationId } = await restore(resultId);
    expect(await world.ended(operationId)).toMatchObject({
      state: 'FAILED',
      error: { code: 'HYPERVISOR_VM_NOT_FOUND' },
    });
    expect((await machines(vmId)).is).toEqual([]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
    await succeeds(world.requests.undeploy(world.request(vmId)));
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED' });
  });
});

test('what a restore that failed has left is named, is never taken for the VM, and goes with a cleanup', async () => {
  veeam.restores({ ends: 'FAILED', tells: true });
  const { vmId, machine, resultId } = await backedUp('half');
  const { operationId } = await restore(resultId);
  expect(await world.ended(operationId)).toMatchObject({
    state: 'FAILED',
    error: { code: 'RESTORE_FAILED', vendorMessage: 'the datastore is full' },
  });
  const before = await machines(vmId);
  expect(before.is).toEqual([machine]);
  const half = before.all.filter((moref) => moref !== machine);
  expect(await world.uncleared(operationId)).toMatchObject([{ ref: half[0], step: 'REPLACE' }]);
  expect(await world.vm(vmId)).toMatchObject({ state: 'OFF' });
  await succeeds(world.requests.retryCleanup({ principal: world.principal, operationId }));
  expect(await machines(vmId)).toEqual({ all: [machine], is: [machine] });
  expect(await content(vmId)).toBe('after');
});

test('a restore that failed after it had removed the VM leaves it UNKNOWN', async () => {
  veeam.restores({ ends: 'FAILED', replaces: true, makes: 0 });
  const { vmId, resultId } = await backedUp('removed');
  const { operationId } = await restore(resultId);
  expect(await world.ended(operationId)).toMatchObject({ state: 'FAILED', error: { code: 'RESTORE_FAILED' } });
  expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
  expect(await world.uncleared(operationId)).toEqual([]);
});

describe('a restore at the console', () => {
  test('beside the VM removes nothing and changes nothing of it', async () => {
    const { vmId, machine, point } = await backedUp('console-beside');
    await veeam.restoreAtConsole(point);
    const operationId = await observed(vmId);
    expect(await world.story(operationId)).toEqual(['OBSERVE DONE', 'WATCH DONE', 'REFRESH DONE', 'RECORD DONE']);
    const { all, is } = await machines(vmId);
    expect(is).toEqual([machine]);
    expect(all).toHaveLength(2);
    expect(await content(vmId)).toBe('after');
    expect(veeam.control.scheduled.get(vmId)).toBe(machine);
  });

  test.each([true, false])(
    'in the place of the VM is taken over, and its schedule follows (told: %s)',
    async (tells) => {
      veeam.restores({ replaces: true, tells });
      const { vmId, point } = await backedUp(`console-${tells}`);
      await veeam.restoreAtConsole(point);
      await observed(vmId);
      const { all, is } = await machines(vmId);
      expect(all).toEqual(is);
      expect(is).toHaveLength(1);
      expect(await content(vmId)).toBe('before');
      await until(
        'the schedule is put on the restored machine',
        () => Promise.resolve(veeam.control.scheduled.get(vmId)),
        (scheduled) => scheduled === is[0],
      );
      await until(
        'the refresh has ended',
        () => world.vm(vmId),
        (vm) => vm.operation_id === null,
      );
    },
  );
});

test('a restore at the console of a VM that was undeployed does not deploy it', async () => {
  const { vmId, point } = await backedUp('console-undeployed');
  await succeeds(world.requests.undeploy(world.request(vmId)));
  await veeam.restoreAtConsole(point);
  const operationId = await observed(vmId);
  expect(await world.operation(operationId)).toMatchObject({ state: 'SUCCEEDED', origin: 'BACKUP_SYSTEM' });
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  const { all, is } = await machines(vmId);
  expect([all.length, is.length]).toEqual([1, 0]);
});

test('a backup on demand is refused where the backup system makes none', async () => {
  const vmId = await world.deployed('on-demand', [gold]);
  await expect(world.requests.backup(world.request(vmId))).rejects.toMatchObject({
    code: 'BACKUP_ONDEMAND_NOT_SUPPORTED',
  });
});
