/** What becomes of a backup or a restore whose answer was lost: found, not there, or not told from another's. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem, LostStart } from '../../../activities/backup-systems/backup-system.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, ended, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
const context = openContext();
const ALL = { retentionDays: 7, disks: null };

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

type Record = { id: number; date: string; oauth2ClientId: string; apiUrl: string };

/** What the audit shows from now on. */
const auditShows = (content: readonly object[]) => {
  const body = { content, number: 0, last: true, totalPages: 1, totalElements: content.length };
  return world.fault({ method: 'GET', path: '/rest-audit$', when: 'before', action: { status: 200, body } });
};
const auditForbidden = () => {
  const body = { code: 403, exception: 'AccessDenied', message: 'No.', details: null, event: null };
  return world.fault({ method: 'GET', path: '/rest-audit$', when: 'before', action: { status: 403, body } });
};
const audit = async () => ((await world.atConsole('GET', '/rest-audit?size=1000')) as { content: Record[] }).content;

async function prepared(name: string): Promise<{ vm: Awaited<ReturnType<AvamarWorld['deploy']>>; start: LostStart }> {
  const vm = await world.deploy(name);
  const vendorVmRef = await avamar.vmReference(context, vm);
  const vendorTime = await avamar.serverTime(context);
  return { vm, start: { kind: 'BACKUP', vendorVmRef, vendorTime, vendorBackupId: null, notThese: [] } };
}

/** A backup that has begun and whose answer never came. */
async function lostBackup(name: string) {
  const { vm, start } = await prepared(name);
  const path = `/clients/${start.vendorVmRef}/backup$`;
  await world.fault({ method: 'POST', path, when: 'after', times: 1, action: { drop: true } });
  await expect(avamar.startBackup(context, vm, ALL)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
  return { vm, start };
}

const atConsole = async (cid: string): Promise<string> => {
  const asked = { targets: [{ name: 'ALL', pluginNumber: 1016 }] };
  const [id = ''] = (await world.atConsole('POST', `/clients/${cid}/backup`, asked)) as string[];
  return id;
};

describe('a lost backup', () => {
  test('is found, with the audit and without it', async () => {
    const { start } = await lostBackup('alone');
    const found = await avamar.findSession(context, start);
    expect(found).toMatchObject({ kind: 'BACKUP', vendorVmRef: start.vendorVmRef, scheduled: false });
    await auditForbidden();
    expect(await avamar.findSession(context, start)).toMatchObject({
      vendorSessionId: (found as { vendorSessionId: string }).vendorSessionId,
    });
  });

  test('that never arrived is not there, whoever may read the audit', async () => {
    const { start } = await prepared('never');
    expect(await avamar.findSession(context, start)).toBe('NONE');
    await auditForbidden();
    expect(await avamar.findSession(context, start)).toBe('NONE');
  });

  test('that never arrived is not the one that somebody else began at the same time', async () => {
    const { start } = await prepared('somebody-else');
    await atConsole(start.vendorVmRef);
    expect(await avamar.findSession(context, start)).toBe('NONE');
  });

  test('is not mistaken for a scheduled backup', async () => {
    const { vm, start } = await lostBackup('beside-schedule');
    await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    const schedule = (await world.inventory()).schedules.find(({ name }) => name.includes(vm.id));
    await world.atConsole('POST', `/schedules/run/${schedule?.id}`);
    await until(
      async () =>
        (await avamar.sessionsSince(context, start.vendorTime)).filter((one) => one.vendorVmRef === start.vendorVmRef),
      (found) => found.length === 2,
    );
    expect(await avamar.findSession(context, start)).toMatchObject({
      scheduled: false,
      vendorVmRef: start.vendorVmRef,
    });
  });

  test('is told from one that somebody began at the console by the audit, and not claimed without it', async () => {
    const { start } = await lostBackup('beside-console');
    const foreign = await atConsole(start.vendorVmRef);
    const found = await avamar.findSession(context, start);
    expect(found).toMatchObject({ vendorVmRef: start.vendorVmRef });
    expect(found).not.toMatchObject({ vendorSessionId: foreign });
    await auditForbidden();
    expect(await avamar.findSession(context, start)).toBe('AMBIGUOUS');
  });

  test('is not claimed before the audit tells of it, which may be late', async () => {
    const { start } = await lostBackup('late-audit');
    await auditShows([]);
    expect(await avamar.findSession(context, start)).toBe('AMBIGUOUS');
    await world.noFaults();
    expect(await avamar.findSession(context, start)).toMatchObject({ kind: 'BACKUP' });
  });

  test('is begun, and not to be begun again, when the audit has it and the list does not yet', async () => {
    const { start } = await lostBackup('late-list');
    const body = { content: [], number: 0, last: true, totalPages: 0, totalElements: 0 };
    await world.fault({ method: 'GET', path: '/activities$', when: 'before', action: { status: 200, body } });
    const missing = { code: 404, exception: 'X', message: 'Not yet.', details: null, event: null };
    const one = { method: 'GET', path: '/activities/', when: 'before', action: { status: 404, body: missing } };
    await world.fault(one);
    expect(await avamar.findSession(context, start)).toBe('AMBIGUOUS');
  });

  test('is one of two that were answered to us: which, is told by what is known of the other', async () => {
    const { vm, start } = await lostBackup('two');
    const second = await avamar.startBackup(context, vm, ALL);
    expect(await avamar.findSession(context, start)).toBe('AMBIGUOUS');
    const found = await avamar.findSession(context, { ...start, notThese: [second.vendorSessionId] });
    expect(found).toMatchObject({ kind: 'BACKUP' });
    expect(found).not.toMatchObject({ vendorSessionId: second.vendorSessionId });
  });

  test('is found in an audit of several pages', async () => {
    const { start } = await lostBackup('paged');
    for (let count = 0; count < 210; count += 1) {
      await world.atConsole('POST', '/schedules/next-run-time', { name: 'x', recurrenceEnum: 'OnDemand' });
    }
    expect(await avamar.findSession(context, start)).toMatchObject({ vendorVmRef: start.vendorVmRef });
  });

  test('is found by times of any zone, and what was answered before it is not taken for it', async () => {
    const { vm, start } = await prepared('zoned');
    const earlier = await avamar.startBackup(context, vm, ALL);
    await ended(avamar, context, earlier.vendorSessionId);
    await world.advance(120);
    const path = `/clients/${start.vendorVmRef}/backup$`;
    const vendorTime = await avamar.serverTime(context);
    await world.fault({ method: 'POST', path, when: 'after', times: 1, action: { drop: true } });
    await expect(avamar.startBackup(context, vm, ALL)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const inTokyo = (date: string) => new Date(Date.parse(date) + 9 * 3_600_000).toISOString().replace('Z', '+09:00');
    const records = await audit();
    await auditShows(records.map((record) => ({ ...record, date: inTokyo(record.date) })));
    const later = { ...start, vendorTime };
    const found = await avamar.findSession(context, later);
    expect(found).toMatchObject({ vendorVmRef: start.vendorVmRef });
    expect(found).not.toMatchObject({ vendorSessionId: earlier.vendorSessionId });

    // Without a zone it cannot be told which of the two it was.
    await world.noFaults();
    await auditShows(records.map((record) => ({ ...record, date: record.date.replace('Z', '') })));
    expect(await avamar.findSession(context, later)).toBe('AMBIGUOUS');
  });

  test('is not asked for again and again when the audit fails: that nothing can be told is told', async () => {
    const { start } = await lostBackup('failing');
    await world.fault({ method: 'GET', path: '/rest-audit$', when: 'before', action: { status: 503 } });
    await expect(avamar.findSession(context, start)).rejects.toMatchObject({ kind: 'FAILED' });
  });
});

describe('a lost restore', () => {
  /** A VM that was deployed again, with a backup from before that. */
  async function reborn(name: string) {
    const first = await world.deploy(name);
    const made = await avamar.startBackup(context, first, ALL);
    const { vendorBackupId } = await ended(avamar, context, made.vendorSessionId);
    const vm = { ...(await world.deploy(name)), id: first.id, vendorRefs: [made.vendorVmRef] };
    const vendorVmRef = await avamar.vmReference(context, vm);
    expect(vendorVmRef).not.toBe(made.vendorVmRef);
    const label = vendorBackupId?.split('/')[1] ?? '';
    return { vm, vendorVmRef, copy: { vendorVmRef: made.vendorVmRef, vendorId: label, location: 'Local' } };
  }

  test('of a backup that an older client of the VM made is found by its number', async () => {
    const { vm, vendorVmRef, copy } = await reborn('older-client');
    const vendorTime = await avamar.serverTime(context);
    await world.fault({ method: 'POST', path: '/restore:vm$', when: 'after', times: 1, action: { drop: true } });
    await expect(avamar.startRestore(context, vm, copy)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const start = { kind: 'RESTORE' as const, vendorVmRef, vendorTime, vendorBackupId: copy.vendorId, notThese: [] };
    expect(await avamar.findSession(context, start)).toMatchObject({ kind: 'RESTORE', vendorVmRef: copy.vendorVmRef });
    await auditForbidden();
    expect(await avamar.findSession(context, start)).toMatchObject({ kind: 'RESTORE' });
    expect(await avamar.findSession(context, { ...start, vendorBackupId: '99' })).toBe('NONE');
  });

  test('is not one of another VM with the same number', async () => {
    const [one, other] = [await reborn('this'), await reborn('that')];
    expect(one.copy.vendorId).toBe(other.copy.vendorId);
    const vendorTime = await avamar.serverTime(context);
    await avamar.startRestore(context, other.vm, other.copy);
    const { vendorVmRef, copy } = one;
    const start = { kind: 'RESTORE' as const, vendorVmRef, vendorTime, vendorBackupId: copy.vendorId, notThese: [] };
    expect(await avamar.findSession(context, start)).toBe('NONE');
  });
});
