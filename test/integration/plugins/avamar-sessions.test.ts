import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem, ResultReport } from '../../../activities/backup-systems/backup-system.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, ended, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

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
  });

  test('takes only the chosen disks', async () => {
    const vm = await world.deploy('one-disk');
    const started = await avamar.startBackup(context, vm, { retentionDays: 7, disks: ['Hard disk 2'] });
    const report = await ended(avamar, context, started.vendorSessionId);
    const [label] = (report.vendorBackupId ?? '').split('/').slice(-1);
    const disks = await world.atConsole('GET', `/clients/${started.vendorVmRef}/backups/${label}/disks`);
    expect(disks).toMatchObject([{ label: 'Hard disk 2' }]);
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
});
