import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { NamingContext } from '../../../activities/calls.ts';
import { daily, openContext, type SeenJob, scheduleOf, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.healthy());
afterAll(() => world.close());

const NIGHTLY = scheduleOf([daily('03:30')]);
const GONE = { name: 'renamed by a person' };

/** The one job that has the VM in it, with nothing of anybody else. */
async function onlyJob(vm: { readonly id: string }, reference: string): Promise<SeenJob> {
  const jobs = (await world.jobs()).filter(
    ({ name, includes }) => name.includes(vm.id) || includes.some(({ ref }) => ref === reference),
  );
  expect(jobs).toHaveLength(1);
  const [job] = jobs as [SeenJob];
  expect(job).toMatchObject({ scheduleEnabled: true, scheduleConfigured: true, includes: [{ ref: reference }] });
  expect(job.includes).toHaveLength(1);
  expect(job.schedule['OptionsDaily']).toMatchObject({ Enabled: true, Kind: 'Everyday' });
  return job;
}

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

describe('a schedule', () => {
  test('is a clone of the template with the VM alone in it, and its time in the zone', async () => {
    const vm = await world.deploy('web-1');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const job = await onlyJob(vm, ref.vmRef);
    expect(ref).toMatchObject({ jobName: `holdfast-${vm.id}`, jobUid: `urn:veeam:Job:${job.id}` });
    expect(ref.vmRef).toMatch(new RegExp(`^urn:VMware:Vm:.*\\.${vm.hypervisorRef}$`));
    expect(job.description).toContain(`[holdfast vm=${vm.id}]`);
    expect(job.schedule['OptionsDaily'].Time).toMatch(/^03:30:00\.0000000\+0[12]:00$/);
    expect(job.retention).toMatchObject({ RetainLimitType: 'Days', RetainDaysToKeep: 7 });
  });

  test('that is there already is not written again, and few calls tell so', async () => {
    const vm = await world.deploy('web-2');
    const first = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const again = { ...vm, vendorRefs: [first.vmRef] };
    for (const previous of [first, undefined]) {
      const context = openContext();
      expect(await world.connect().applySchedule(context, again, NIGHTLY, previous)).toEqual(first);
      expect(context.writes).toBe(0);
    }
    const before = await world.calls();
    await world.connect().applySchedule(openContext(), again, NIGHTLY, first);
    expect((await world.calls()) - before).toBe(2);
  });

  test('never runs while the VM of somebody else is in its job', async () => {
    const template = (await world.jobs()).find(({ name }) => name === 'SILVER') as SeenJob;
    await world.changeJob(template.id, { scheduleEnabled: true });
    const vm = await world.deploy('web-3');
    const seen: string[] = [];
    const context: NamingContext = {
      ...openContext(),
      async beforeWrite() {
        const job = await world.job(vm);
        if (job === undefined || !job.scheduleEnabled) return;
        seen.push(job.includes.map(({ name }) => name).join());
      },
    };
    const silver = scheduleOf([daily('03:30')], { code: 'SILVER' });
    await world.connect().applySchedule(context, vm, silver, undefined);
    // The server takes the template's switch over with the clone; that is undone before anything else.
    expect(seen.filter((names) => names !== 'web-3').length).toBeLessThanOrEqual(1);
    expect(await world.job(vm)).toMatchObject({ scheduleEnabled: true, includes: [{ name: 'web-3' }] });
    await world.changeJob(template.id, { scheduleEnabled: false });
  });

  test('of a template that is not there is refused with its name, and nothing is written', async () => {
    const vm = await world.deploy('web-4');
    const context = openContext();
    await expect(
      world.connect().applySchedule(context, vm, scheduleOf([daily('03:30')], { code: 'BRONZE' }), undefined),
    ).rejects.toMatchObject({ kind: 'REFUSED', message: expect.stringContaining('BRONZE') });
    expect(context.writes).toBe(0);
  });

  test('finds its template in another case', async () => {
    const vm = await world.deploy('web-5');
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('03:30')], { code: 'gold' }), undefined);
    expect(await world.job(vm)).toMatchObject({ description: expect.stringContaining('[template=GOLD]') });
  });

  test.each([
    [
      'HOURLY',
      { subtype: 'HOURLY', time: '6' },
      'OptionsPeriodically',
      { Enabled: true, Kind: 'Hours', FullPeriod: 6 },
    ],
    [
      'WEEKLY_PLANNED',
      { subtype: 'WEEKLY_PLANNED', days: ['MONDAY', 'FRIDAY'] },
      'OptionsDaily',
      { Enabled: true, Kind: 'SelectedDays', Days: ['Monday', 'Friday'] },
    ],
    ['MONTHLY', { subtype: 'MONTHLY' }, 'OptionsMonthly', { Enabled: true, DayNumberInMonth: 'OnDay', DayOfMonth: 1 }],
  ] as const)('can be %s, and nothing else runs the job', async (subtype, backup, branch, expected) => {
    const vm = await world.deploy(`sub-${subtype}`);
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('01:15', backup)]), undefined);
    const { schedule } = (await world.job(vm)) as SeenJob;
    expect(schedule[branch]).toMatchObject(expected);
    const enabled = Object.entries(schedule).filter(([, value]) => (value as { Enabled?: boolean }).Enabled === true);
    expect(enabled.map(([name]) => name)).toEqual([branch]);
  });

  test('keeps what the policy leaves to the backup system as the template has it', async () => {
    const vm = await world.deploy('web-6');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const left = await veeam.applySchedule(openContext(), vm, scheduleOf([daily('x', { time: null })]), ref);
    const template = (await world.jobs()).find(({ name }) => name === 'GOLD') as SeenJob;
    const job = (await world.job(vm)) as SeenJob;
    expect(job.schedule['OptionsDaily'].Time).toBe(template.schedule['OptionsDaily'].Time);
    expect(left.refreshAt).toBeUndefined();
  });
});

describe('a change of a schedule', () => {
  test('edits only what differs', async () => {
    const vm = await world.deploy('change-1');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const context = openContext();
    const later = scheduleOf([daily('04:45')], { retentionDays: 9 });
    expect(await veeam.applySchedule(context, vm, later, ref)).toMatchObject({ jobUid: ref['jobUid'] });
    expect(context.writes).toBe(1);
    const job = await onlyJob(vm, ref.vmRef);
    expect(job.schedule['OptionsDaily'].Time).toMatch(/^04:45/);
    expect(job.retention).toMatchObject({ RetainDaysToKeep: 9 });
    await veeam.applySchedule(openContext(), vm, NIGHTLY, ref);
    expect((await onlyJob(vm, ref.vmRef)).schedule['OptionsDaily'].Time).toMatch(/^03:30/);
  });

  test('of the policy clones its template, and leaves no job of the other', async () => {
    const vm = await world.deploy('change-2');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const silver = scheduleOf([daily('03:30')], { code: 'SILVER' });
    const changed = await veeam.applySchedule(openContext(), vm, silver, ref);
    expect(changed['jobUid']).not.toBe(ref['jobUid']);
    expect((await onlyJob(vm, changed.vmRef)).description).toContain('[template=SILVER]');
    const missing = scheduleOf([daily('03:30')], { code: 'BRONZE' });
    await expect(veeam.applySchedule(openContext(), vm, missing, changed)).rejects.toMatchObject({ kind: 'REFUSED' });
    await onlyJob(vm, changed.vmRef);
  });

  test('follows the VM when it has become another machine', async () => {
    const vm = await world.deploy('change-3');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const other = await world.deploy('change-3-restored');
    const now = { ...vm, hypervisorRef: other.hypervisorRef, vendorRefs: [ref.vmRef] };
    const moved = await veeam.applySchedule(openContext(), now, NIGHTLY, ref);
    expect(moved.jobUid).toBe(ref.jobUid);
    expect(moved.vmRef).not.toBe(ref.vmRef);
    await onlyJob(vm, moved.vmRef);
  });
});

describe('a process that dies', () => {
  test.each([1, 2, 3, 4, 5])('before the write number %i leaves what another one completes', async (at) => {
    const vm = await world.deploy(`dies-${at}`);
    await expect(world.connect().applySchedule(dyingAt(at), vm, NIGHTLY, undefined)).rejects.toThrow('died');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
  });

  test('of a session that ended is not asked for in another', async () => {
    const vm = await world.deploy('task-session');
    await world.fault({ method: 'GET', path: '/tasks/', when: 'before', times: 2, action: { status: 401 } });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(vm, ref.vmRef);
  });

  test('that cannot be asked about for a moment goes on', async () => {
    const vm = await world.deploy('task-busy');
    await world.fault({ method: 'GET', path: '/tasks/', when: 'before', times: 3, action: { status: 503 } });
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    await onlyJob(vm, ref.vmRef);
  });

  test('that failed to clone, and cloned all the same, is believed by its effect', async () => {
    const vm = await world.deploy('task-false');
    const action = { status: 200, body: FAILED_TASK, ...xml };
    await world.settings({ immediateTasks: true });
    try {
      await world.fault({ method: 'POST', path: 'action=clone', when: 'after', times: 1, action });
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
  });

  test('is followed to its end, and only by the clock', async () => {
    const vm = await world.deploy('task-slow');
    await world.settings({ taskSeconds: 0.2, collectSeconds: 0.3 });
    try {
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(vm, ref.vmRef);
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
      await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
  });

  test('in seeing a new VM is waited for', async () => {
    await world.settings({ lookupSeconds: 1 });
    try {
      const vm = await world.deploy('late-lookup');
      const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
      await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
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
    await onlyJob(vm, ref.vmRef);
  });
});

describe('what people do at the server', () => {
  const made = async (name: string) => {
    const vm = await world.deploy(name);
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    return { vm, ref, job: (await world.job(vm)) as SeenJob };
  };

  test('a job that was renamed is found by its id, changed and removed', async () => {
    const { vm, ref, job } = await made('renamed');
    await world.changeJob(job.id, GONE);
    const context = openContext();
    expect(await world.connect().applySchedule(context, vm, NIGHTLY, ref)).toMatchObject({ jobUid: ref['jobUid'] });
    expect(context.writes).toBe(0);
    await world.connect().removeSchedule(openContext(), vm, ref);
    expect((await world.jobs()).some(({ id }) => id === job.id)).toBe(false);
  });

  test('a job that was deleted is made again, and its removal is no failure', async () => {
    const { vm, ref, job } = await made('deleted');
    await world.deleteJob(job.id);
    const again = await world.connect().applySchedule(openContext(), vm, NIGHTLY, ref);
    await onlyJob(vm, again.vmRef);
    for (const missingJobStatus of [404, 400]) {
      await world.settings({ missingJobStatus });
      const now = await world.job(vm);
      if (now !== undefined) await world.deleteJob(now.id);
      await world.connect().removeSchedule(openContext(), vm, again);
      await world.connect().removeSchedule(openContext(), vm, undefined);
    }
  });

  test('a job that was switched off is switched on, and one with another time gets its own back', async () => {
    const { vm, ref, job } = await made('switched-off');
    await world.changeJob(job.id, { scheduleEnabled: false });
    await world.connect().applySchedule(openContext(), vm, NIGHTLY, ref);
    await onlyJob(vm, ref.vmRef);
  });

  test('a description that says more keeps it', async () => {
    const { vm, ref, job } = await made('described');
    const description = `Ask Ann first. ${job.description}`;
    await world.changeJob(job.id, { description });
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('05:00')]), ref);
    expect((await world.job(vm))?.description).toBe(description);
  });

  test('a job that lost its marker is neither changed nor removed', async () => {
    const { vm, ref, job } = await made('unmarked');
    await world.changeJob(job.id, { description: 'mine now' });
    const words = { kind: 'REFUSED', message: expect.stringContaining('does not say that Holdfast made it') };
    for (const previous of [ref, undefined]) {
      const context = openContext();
      await expect(world.connect().applySchedule(context, vm, NIGHTLY, previous)).rejects.toMatchObject(words);
      expect(context.writes).toBe(0);
    }
    await expect(world.connect().removeSchedule(openContext(), vm, ref)).rejects.toMatchObject(words);
    // Without anything on record it is somebody else's, and an undo has nothing to remove.
    await world.connect().removeSchedule(openContext(), vm, undefined);
    expect((await world.jobs()).some(({ id }) => id === job.id)).toBe(true);
  });

  test('the marker of another VM is another VM’s', async () => {
    const { vm, ref, job } = await made('other-vm');
    await world.changeJob(job.id, { description: '[holdfast vm=0198a1b2-0000-7000-8000-0123456789ab]' });
    await expect(world.connect().removeSchedule(openContext(), vm, ref)).rejects.toMatchObject({ kind: 'REFUSED' });
  });
});
