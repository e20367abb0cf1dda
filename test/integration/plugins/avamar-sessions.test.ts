import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BackupSystem, copyKey, type ResultReport } from '../../../activities/backup-systems/backup-system.ts';
import { type AvamarWorld, daily, ended, openContext, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
const context = openContext();
const FOREVER = new Date(0);

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

const ALL = { retentionDays: 7, disks: null };

async function resultsOf(refs: readonly string[], since = FOREVER): Promise<ResultReport[]> {
  const found: ResultReport[] = [];
  const vms = refs.map((vendorVmRef) => ({ vendorVmRef, schedule: null }));
  for await (const one of avamar.listResults(context, vms, since)) found.push(one);
  return found;
}

describe('a backup on demand', () => {
  test('is a session that runs, ends, and leaves a result with its expiry', async () => {
    const vm = await world.deploy('on-demand');
    const before = await avamar.serverTime(context);
    const started = await avamar.startBackup(context, vm, ALL);
    const [running] = await avamar.sessions(context, [started.vendorSessionId]);
    expect(running).toMatchObject({
      kind: 'BACKUP',
      state: 'RUNNING',
      scheduled: false,
      vendorBackupId: null,
      endedAt: null,
    });

    const report = await ended(avamar, context, started.vendorSessionId);
    expect(report).toMatchObject({ state: 'SUCCEEDED', progress: 100, vendorVmRef: started.vendorVmRef });
    const made = await avamar.result(
      context,
      { vendorVmRef: started.vendorVmRef, schedule: null },
      report.vendorBackupId ?? '',
    );
    expect(made).toMatchObject({ vendorVmRef: started.vendorVmRef, sizeBytes: 2 * 1024 ** 3 });
    const days = ((made?.copies[0]?.expiresAt?.getTime() ?? 0) - (made?.createdAt.getTime() ?? 0)) / 86_400_000;
    expect(days).toBeCloseTo(7, 2);
    expect(await resultsOf([started.vendorVmRef], before)).toEqual([made]);
    expect(await resultsOf([started.vendorVmRef], new Date(Date.now() + 60_000))).toEqual([]);
    expect(await resultsOf(['no-such-client'])).toEqual([]);
  });

  test('takes only the chosen disks', async () => {
    const vm = await world.deploy('one-disk');
    const started = await avamar.startBackup(context, vm, { retentionDays: 7, disks: ['Hard disk 2'] });
    const report = await ended(avamar, context, started.vendorSessionId);
    const [label] = (report.vendorBackupId ?? '').split('/').slice(-1);
    const disks = await world.atConsole('GET', `/clients/${started.vendorVmRef}/backups/${label}/disks`);
    expect(disks).toMatchObject([{ label: 'Hard disk 2' }]);
  });

  test('can be cancelled', async () => {
    await world.settings({ backupSeconds: 30 });
    const vm = await world.deploy('cancelled');
    const started = await avamar.startBackup(context, vm, ALL);
    await world.settings({ backupSeconds: 0.2 });
    await avamar.cancel(context, started.vendorSessionId);
    expect(await ended(avamar, context, started.vendorSessionId)).toMatchObject({ state: 'CANCELLED' });
    await avamar.cancel(context, started.vendorSessionId);
    await avamar.cancel(context, 'no-such-activity');
  });

  test('that is listed is told apart from one that was deleted', async () => {
    const vm = await world.deploy('listed');
    const ids = [await avamar.startBackup(context, vm, ALL), await avamar.startBackup(context, vm, ALL)];
    for (const { vendorSessionId } of ids) await ended(avamar, context, vendorSessionId);
    const [cid = ''] = ids.map(({ vendorVmRef }) => vendorVmRef);
    const copies = (await resultsOf([cid])).flatMap(({ copies: [copy] }) =>
      copy === undefined ? [] : [{ vendorVmRef: cid, vendorId: copy.vendorId, location: copy.location }],
    );
    expect((await avamar.listed(context, copies)).size).toBe(2);
    await world.atConsole('DELETE', `/clients/${cid}/backups/1/delete`);
    const rest = copies.filter(({ vendorId }) => vendorId !== '1').map(copyKey);
    expect([...(await avamar.listed(context, copies))]).toEqual(rest);
    expect(await avamar.result(context, { vendorVmRef: cid, schedule: null }, `${cid}/1`)).toBeUndefined();
    expect(await avamar.listed(context, [{ vendorVmRef: 'no-such-client', vendorId: '1', location: 'Local' }])).toEqual(
      new Set(),
    );
  });
});

describe('many sessions', () => {
  test('are read in a few calls, and unknown ones are left out', async () => {
    const vm = await world.deploy('many');
    const started = await Promise.all(Array.from({ length: 12 }, () => avamar.startBackup(context, vm, ALL)));
    const ids = started.map(({ vendorSessionId }) => vendorSessionId);
    const lists = async () => (await world.requests())['GET /api/v1/activities'] ?? 0;
    const singles = async () => (await world.requests())['GET /api/v1/activities/:id'] ?? 0;
    const before = [await lists(), await singles()];
    const reports = await avamar.sessions(context, ids);
    expect(reports.map(({ vendorSessionId }) => vendorSessionId).toSorted()).toEqual(ids.toSorted());
    expect([await lists(), await singles()]).toEqual([(before[0] ?? 0) + 1, before[1]]);
    expect(await avamar.sessions(context, ['nobody', ...ids])).toHaveLength(12);
    expect(await avamar.sessions(context, ['nobody'])).toEqual([]);
    expect(await avamar.sessions(context, [])).toEqual([]);
  });

  test('since a moment leave out what began before it', async () => {
    const vm = await world.deploy('since');
    const old = await avamar.startBackup(context, vm, ALL);
    const report = await ended(avamar, context, old.vendorSessionId);
    const next = await avamar.startBackup(context, vm, ALL);
    const since = await avamar.sessionsSince(context, new Date(report.startedAt.getTime() + 1));
    const ids = since.map(({ vendorSessionId }) => vendorSessionId);
    expect(ids).toContain(next.vendorSessionId);
    expect(ids).not.toContain(old.vendorSessionId);
  });

  test("show what Avamar's own schedule began", async () => {
    const vm = await world.deploy('by-schedule');
    const ref = await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    const schedule = (await world.inventory()).schedules.find(({ name }) => name.includes(vm.id));
    const since = await avamar.serverTime(context);
    await world.atConsole('POST', `/schedules/run/${schedule?.id}`);
    const found = await until(
      async () => (await avamar.sessionsSince(context, since)).find(({ vendorVmRef }) => vendorVmRef === ref.vmRef),
      (session) => session !== undefined,
    );
    expect(found).toMatchObject({ kind: 'BACKUP', scheduled: true });
  });
});

describe('a restore', () => {
  test('puts the disks back as they were', async () => {
    const vm = await world.deploy('restored');
    await world.disk(vm, 'generation 1');
    const made = await avamar.startBackup(context, vm, ALL);
    await ended(avamar, context, made.vendorSessionId);
    await world.disk(vm, 'generation 2');
    const [backup] = await resultsOf([made.vendorVmRef]);
    const copy = { vendorVmRef: made.vendorVmRef, vendorId: backup?.copies[0]?.vendorId ?? '', location: 'Local' };

    const started = await avamar.startRestore(context, vm, copy);
    const report = await ended(avamar, context, started.vendorSessionId);
    expect(report).toMatchObject({ kind: 'RESTORE', state: 'SUCCEEDED', vendorBackupId: backup?.vendorBackupId });
    expect(await world.disk(vm)).toBe('generation 1');
    expect((await world.hypervisor.inspect(context, vm))?.power).toBe('OFF');
  });

  test('of a backup of the old client goes into the VM that was deployed again', async () => {
    const vm = await world.deploy('reborn');
    await world.disk(vm, 'from the first life');
    const made = await avamar.startBackup(context, vm, ALL);
    await ended(avamar, context, made.vendorSessionId);
    await world.undeploy(vm);
    const now = { ...(await world.deploy('reborn', vm.id)), vendorRefs: [made.vendorVmRef] };
    expect(await avamar.vmReference(context, now)).not.toBe(made.vendorVmRef);

    const copy = { vendorVmRef: made.vendorVmRef, vendorId: '1', location: 'Local' };
    const started = await avamar.startRestore(context, now, copy);
    expect(await ended(avamar, context, started.vendorSessionId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.disk(now)).toBe('from the first life');
  });

  test('of a backup that is gone is refused', async () => {
    const vm = await world.deploy('nothing-to-restore');
    const cid = await avamar.vmReference(context, vm);
    await expect(
      avamar.startRestore(context, vm, { vendorVmRef: cid, vendorId: '9', location: 'Local' }),
    ).rejects.toMatchObject({ kind: 'REFUSED', message: expect.stringContaining('no longer has the backup 9') });
  });
});

describe('a start whose answer was lost', () => {
  async function lostBackup(name: string) {
    const vm = await world.deploy(name);
    const cid = await avamar.vmReference(context, vm);
    const start = { kind: 'BACKUP' as const, vendorVmRef: cid, vendorTime: await avamar.serverTime(context) };
    await world.fault({
      method: 'POST',
      path: `/clients/${cid}/backup$`,
      when: 'after',
      times: 1,
      action: { drop: true },
    });
    await expect(avamar.startBackup(context, vm, ALL)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    return { vm, cid, start: { ...start, vendorBackupId: null, notThese: [] as string[] } };
  }
  const atConsole = (cid: string) =>
    world.atConsole('POST', `/clients/${cid}/backup`, { targets: [{ name: 'ALL', pluginNumber: 1016 }] }) as Promise<
      string[]
    >;

  test('is found', async () => {
    const { start } = await lostBackup('lost-one');
    expect(await avamar.findSession(context, start)).toMatchObject({ kind: 'BACKUP', vendorVmRef: start.vendorVmRef });
  });

  test('is not there when it never arrived, nor when what is there is known', async () => {
    const vm = await world.deploy('never-arrived');
    const cid = await avamar.vmReference(context, vm);
    const vendorTime = await avamar.serverTime(context);
    await world.fault({
      method: 'POST',
      path: `/clients/${cid}/backup$`,
      when: 'before',
      times: 1,
      action: { drop: true },
    });
    await expect(avamar.startBackup(context, vm, ALL)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const start = { kind: 'BACKUP' as const, vendorVmRef: cid, vendorTime, vendorBackupId: null };
    expect(await avamar.findSession(context, { ...start, notThese: [] })).toBe('NONE');
    const { vendorSessionId } = await avamar.startBackup(context, vm, ALL);
    expect(await avamar.findSession(context, { ...start, notThese: [vendorSessionId] })).toBe('NONE');
  });

  test('is not mistaken for a scheduled backup', async () => {
    const { vm, cid, start } = await lostBackup('beside-schedule');
    await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    const schedule = (await world.inventory()).schedules.find(({ name }) => name.includes(vm.id));
    await world.atConsole('POST', `/schedules/run/${schedule?.id}`);
    await until(
      async () => (await avamar.sessionsSince(context, start.vendorTime)).filter((one) => one.vendorVmRef === cid),
      (found) => found.length === 2,
    );
    expect(await avamar.findSession(context, start)).toMatchObject({ scheduled: false, vendorVmRef: cid });
  });

  test('is told from one that somebody began at the console by the audit, and not claimed without it', async () => {
    const { cid, start } = await lostBackup('beside-console');
    const [foreign = ''] = await atConsole(cid);
    const found = await avamar.findSession(context, start);
    expect(found).toMatchObject({ vendorVmRef: cid });
    expect(found).not.toMatchObject({ vendorSessionId: foreign });

    const body = { code: 403, exception: 'AccessDenied', message: 'No.', details: null, event: null };
    await world.fault({ path: '/rest-audit', when: 'before', action: { status: 403, body } });
    expect(await avamar.findSession(context, start)).toBe('AMBIGUOUS');
  });

  test('of a restore is found by the backup that it restores', async () => {
    const vm = await world.deploy('lost-restore');
    const made = [await avamar.startBackup(context, vm, ALL), await avamar.startBackup(context, vm, ALL)];
    for (const { vendorSessionId } of made) await ended(avamar, context, vendorSessionId);
    const [cid = ''] = made.map(({ vendorVmRef }) => vendorVmRef);
    const vendorTime = await avamar.serverTime(context);
    await avamar.startRestore(context, vm, { vendorVmRef: cid, vendorId: '2', location: 'Local' });
    await world.fault({ method: 'POST', path: 'restore:vm$', when: 'after', times: 1, action: { drop: true } });
    await expect(
      avamar.startRestore(context, vm, { vendorVmRef: cid, vendorId: '1', location: 'Local' }),
    ).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const start = { kind: 'RESTORE' as const, vendorVmRef: cid, vendorTime, notThese: [] };
    expect(await avamar.findSession(context, { ...start, vendorBackupId: `${cid}/1` })).toMatchObject({
      kind: 'RESTORE',
      vendorBackupId: `${cid}/1`,
    });
    expect(await avamar.findSession(context, { ...start, vendorBackupId: `${cid}/7` })).toBe('NONE');
  });
});
