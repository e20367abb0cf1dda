import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { NamingContext } from '../../../activities/calls.ts';
import { NIGHTLY, onlyJob } from './veeam-runs.ts';
import { openContext, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.healthy());
afterAll(() => world.close());

/** A context that dies when it is asked for the permission to write number `at`. */
function dyingAt(at: number): NamingContext {
  const context = openContext();
  return {
    ...context,
    async beforeWrite() {
      context.writes += 1;
      if (context.writes === at) throw new Error('died');
    },
  };
}

describe('a process that dies', () => {
  test.each([1, 2, 3, 4, 5])('before the write number %i leaves what another one completes', async (at) => {
    const vm = await world.deploy(`dies-${at}`);
    await expect(world.connect().applySchedule(dyingAt(at), vm, NIGHTLY, undefined)).rejects.toThrow('died');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test.each([2, 3, 4, 5])('before the write number %i leaves what an undo removes', async (at) => {
    const vm = await world.deploy(`undone-${at}`);
    await expect(world.connect().applySchedule(dyingAt(at), vm, NIGHTLY, undefined)).rejects.toThrow('died');
    await world.connect().removeSchedule(openContext(), vm, undefined);
    expect(await world.job(vm)).toBeUndefined();
  });
});

test('a cancelled attempt waits for what it has begun, and begins nothing more', async () => {
  const vm = await world.deploy('cancelled');
  const stop = new AbortController();
  const context: NamingContext & { writes: number } = {
    ...openContext(),
    signal: stop.signal,
    async beforeWrite() {
      this.writes += 1;
      stop.abort(new Error('cancelled'));
    },
  };
  await expect(world.connect().applySchedule(context, vm, NIGHTLY, undefined)).rejects.toThrow('cancelled');
  expect(context.writes).toBe(1);
  expect(await world.job(vm)).toBeDefined();
  await world.connect().removeSchedule(openContext(), vm, undefined);
  expect(await world.job(vm)).toBeUndefined();
});

describe('an answer that is lost', () => {
  test('and cannot be looked after is as unknown as it was', async () => {
    const vm = await world.deploy('lost-and-gone');
    const context: NamingContext & { writes: number } = {
      ...openContext(),
      async beforeWrite() {
        this.writes += 1;
        if (this.writes !== 2) return;
        await world.fault({ method: 'POST', path: '/includes$', when: 'after', times: 1, action: { drop: true } });
        await world.fault({ method: 'GET', path: '/includes$', when: 'before', action: { drop: true } });
      },
    };
    const veeam = world.connect();
    await expect(veeam.applySchedule(context, vm, NIGHTLY, undefined)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    await world.healthy();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test.each([
    ['the clone', { method: 'POST', path: 'action=clone' }],
    ['the VM', { method: 'POST', path: '/includes$' }],
    ['the removal of the template’s object', { method: 'DELETE', path: '/includes/' }],
    ['the edit', { method: 'PUT', path: 'action=edit' }],
  ])('to %s is found by its effect', async (_, fault) => {
    const vm = await world.deploy('lost-after');
    await world.fault({ ...fault, when: 'after', times: 1, action: { drop: true } });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test.each([
    ['the VM', { method: 'POST', path: '/includes$' }],
    ['the removal of the template’s object', { method: 'DELETE', path: '/includes/' }],
    ['the edit', { method: 'PUT', path: 'action=edit' }],
  ])('to %s that was never made is made by the next attempt', async (_, fault) => {
    const vm = await world.deploy('lost-before');
    await world.fault({ ...fault, when: 'before', times: 1, action: { drop: true } });
    const veeam = world.connect({}, { includeTimeoutSeconds: 0.5 });
    await expect(veeam.applySchedule(openContext(), vm, NIGHTLY, undefined)).rejects.toMatchObject({ transient: true });
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('to a clone that does not show may have one appear, so nobody believes that there is none for a time', async () => {
    const vm = await world.deploy('lost-clone');
    await world.fault({ method: 'POST', path: 'action=clone', when: 'before', times: 1, action: { drop: true } });
    const veeam = world.connect({}, { includeTimeoutSeconds: 0.2, cloneSettlingSeconds: 2 });
    const apply = () => veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    await expect(apply()).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const appear = { kind: 'FAILED', message: expect.stringContaining('may still appear') };
    const context = openContext();
    await expect(veeam.applySchedule(context, vm, NIGHTLY, undefined)).rejects.toMatchObject(appear);
    expect(context.writes).toBe(0);
    await expect(veeam.removeSchedule(openContext(), vm, undefined)).rejects.toMatchObject(appear);
    await expect
      .poll(() => veeam.removeSchedule(openContext(), vm, undefined).then(() => 'none'), { timeout: 10_000 })
      .toBe('none');
    const ref = await apply();
    await onlyJob(world, vm, ref.vmRef);
  });

  test('to a removal is found by its effect', async () => {
    const vm = await world.deploy('lost-removal');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await world.fault({ method: 'DELETE', path: '/jobs/', when: 'before', times: 1, action: { drop: true } });
    await expect(world.connect().removeSchedule(openContext(), vm, ref)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    await world.fault({ method: 'DELETE', path: '/jobs/', when: 'after', times: 1, action: { drop: true } });
    await world
      .connect()
      .removeSchedule(openContext(), vm, ref)
      .catch(() => {});
    await expect.poll(() => world.job(vm)).toBeUndefined();
    await world.connect().removeSchedule(openContext(), vm, ref);
  });
});

describe('a task', () => {
  const GONE_TASK =
    '<Error Message="There is no such task with id [task-1] in current rest session" StatusCode="500"/>';
  const FAILED_TASK =
    '<Task Type="Task"><TaskId>task-1</TaskId><State>Finished</State><Result Success="false"><Message>Busy</Message></Result></Task>';
  const xml = { headers: { 'content-type': 'application/xml' } };

  test('that is lost with its session is replaced by a look at its effect', async () => {
    const vm = await world.deploy('task-lost');
    await world.fault({
      method: 'GET',
      path: '/tasks/',
      when: 'before',
      times: 5,
      action: { status: 500, body: GONE_TASK, ...xml },
    });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('of a session that ended is not asked for in another', async () => {
    const vm = await world.deploy('task-session');
    await world.fault({ method: 'GET', path: '/tasks/', when: 'before', times: 2, action: { status: 401 } });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('that cannot be asked about for a moment goes on', async () => {
    const vm = await world.deploy('task-busy');
    await world.fault({ method: 'GET', path: '/tasks/', when: 'before', times: 3, action: { status: 503 } });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('that failed to clone, and cloned all the same, is believed by its effect', async () => {
    const vm = await world.deploy('task-false');
    const action = { status: 200, body: FAILED_TASK, ...xml };
    await world.settings({ immediateTasks: true });
    try {
      await world.fault({ method: 'POST', path: 'action=clone', when: 'after', times: 1, action });
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(world, vm, ref.vmRef);
    } finally {
      await world.settings({ immediateTasks: false });
    }
  });

  test('that failed to clone, while the job shows late, is waited for', async () => {
    const vm = await world.deploy('task-false-late');
    const failed = { status: 200, body: FAILED_TASK, ...xml };
    const nothing = { status: 200, body: '<QueryResult><Entities/></QueryResult>', ...xml };
    await world.settings({ immediateTasks: true });
    try {
      await world.fault({ method: 'POST', path: 'action=clone', when: 'after', times: 1, action: failed });
      // Before the clone, and twice after it.
      await world.fault({ method: 'GET', path: `type=Job.*${vm.id}`, when: 'before', times: 3, action: nothing });
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(world, vm, ref.vmRef);
    } finally {
      await world.settings({ immediateTasks: false });
    }
  });

  test('that failed ends with the vendor’s words and may be tried again', async () => {
    const vm = await world.deploy('task-failed');
    const action = { status: 200, body: FAILED_TASK, ...xml };
    await world.fault({ method: 'POST', path: 'action=clone', when: 'before', times: 1, action });
    const veeam = world.connect();
    await expect(veeam.applySchedule(openContext(), vm, NIGHTLY, undefined)).rejects.toMatchObject({
      kind: 'FAILED',
      vendorMessage: 'Busy',
    });
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('is followed to its end, and only by the clock', async () => {
    const vm = await world.deploy('task-slow');
    await world.settings({ taskSeconds: 0.2, collectSeconds: 0.3 });
    try {
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(world, vm, ref.vmRef);
    } finally {
      await world.settings({ taskSeconds: 0.02, collectSeconds: 0.02 });
    }
  });
});

describe('a server that is late', () => {
  test('with a VM in the job is waited for', async () => {
    const vm = await world.deploy('late-include');
    await world.settings({ includeSeconds: 1 });
    try {
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(world, vm, ref.vmRef);
    } finally {
      await world.settings({ includeSeconds: 0.05 });
    }
  });

  test('beyond the limit is a failure with a reason, and the next attempt goes on', async () => {
    const vm = await world.deploy('later-include');
    await world.settings({ includeSeconds: 3_600 });
    const veeam = world.connect({}, { includeTimeoutSeconds: 0.3 });
    await expect(veeam.applySchedule(openContext(), vm, NIGHTLY, undefined)).rejects.toMatchObject({
      kind: 'FAILED',
      message: expect.stringContaining('does not show later-include'),
    });
    await world.settings({ includeSeconds: 0.05 });
    await world.advance(3_600);
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('in seeing a new VM is waited for', async () => {
    await world.settings({ lookupSeconds: 1 });
    try {
      const vm = await world.deploy('late-lookup');
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(world, vm, ref.vmRef);
    } finally {
      await world.settings({ lookupSeconds: 0 });
    }
  });

  test('beyond the limit in seeing a new VM says so, and takes the VM later', async () => {
    await world.settings({ lookupSeconds: 3_600 });
    const vm = await world.deploy('unknown');
    const apply = (vcenter?: string) =>
      world.connect({}, { includeTimeoutSeconds: 0.2, vcenter }).applySchedule(openContext(), vm, NIGHTLY, undefined);
    // Of several vCenters nobody can tell which has it; with one that is named it is the server that does not know it.
    await expect(apply()).rejects.toMatchObject({ kind: 'FAILED', message: expect.stringContaining('does not know') });
    await expect(apply('VCENTER.simulated')).rejects.toMatchObject({
      kind: 'FAILED',
      vendorMessage: expect.stringContaining('not found'),
    });
    await world.settings({ lookupSeconds: 0 });
    const ref = await apply('VCENTER.simulated');
    await onlyJob(world, vm, ref.vmRef);
  });
});

describe('a MoRef that another vCenter has too', () => {
  /** What somebody else has in the other vCenter. */
  const stranger = async () => {
    const [other] = (await world.jobs()).find(({ name }) => name === 'SILVER')?.includes ?? [];
    return { ref: other?.ref ?? '', moref: other?.ref.split('.').at(-1) ?? '', name: other?.name ?? '' };
  };

  test('is not taken for the VM while the VM’s own vCenter does not show it', async () => {
    const vm = { id: crypto.randomUUID(), name: 'new-here', hypervisorRef: (await stranger()).moref, vendorRefs: [] };
    const veeam = world.connect({}, { includeTimeoutSeconds: 0.2 });
    const unknown = { kind: 'FAILED', message: expect.stringContaining('does not know new-here') };
    const context = openContext();
    await expect(veeam.applySchedule(context, vm, NIGHTLY, undefined)).rejects.toMatchObject(unknown);
    await expect(veeam.vmReference(context, vm)).rejects.toMatchObject(unknown);
    expect(context.writes).toBe(0);
  });

  test('is the VM’s by its name, or under another one where the VM has been before', async () => {
    const { ref, moref, name } = await stranger();
    const veeam = world.connect({}, { includeTimeoutSeconds: 0.2 });
    const vm = { id: crypto.randomUUID(), name, hypervisorRef: moref, vendorRefs: [] };
    expect(await veeam.vmReference(openContext(), vm)).toBe(ref);
    const restored = { ...vm, name: 'of-old', vendorRefs: [ref.replace(/[^.]+$/, 'vm-9999')] };
    expect(await veeam.vmReference(openContext(), restored)).toBe(ref);
  });
});

describe('a session that ends in the middle', () => {
  test.each([3, 8, 15])('is begun again, and the call is made once more (call %i)', async (call) => {
    const vm = await world.deploy(`ends-${call}`);
    let calls = 0;
    const context: NamingContext = {
      ...openContext(),
      progress: () => {
        calls += 1;
        if (calls === call) ended = world.endSessions();
      },
    };
    let ended: Promise<unknown> = Promise.resolve();
    const ref = await world.connect().applySchedule(context, vm, NIGHTLY, undefined);
    await ended;
    await onlyJob(world, vm, ref.vmRef);
  });
});
