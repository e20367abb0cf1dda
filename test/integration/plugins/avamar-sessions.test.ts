import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem, ResultReport } from '../../../activities/backup-systems/backup-system.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, ended, startAvamarWorld } from './avamar-world.ts';

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

describe('a cancel', () => {
  /** A backup that goes on until its time has passed. */
  async function running(name: string): Promise<string> {
    await world.settings({ backupSeconds: 1_000 });
    const { vendorSessionId } = await avamar.startBackup(context, await world.deploy(name), ALL);
    await world.settings({ backupSeconds: 0.2 });
    return vendorSessionId;
  }
  const refusing = (id: string) => ({ method: 'POST', path: `/${id}/cancel$`, when: 'before', times: 1, action: {} });

  test('stops the session, which says so when it has', async () => {
    const id = await running('stopped');
    await avamar.cancel(context, id);
    await avamar.cancel(context, id);
    await world.advance(60);
    expect(await ended(avamar, context, id)).toMatchObject({ state: 'CANCELLED', vendorBackupId: null });
  });

  test('that Avamar does not obey is refused while the session goes on', async () => {
    const id = await running('stubborn');
    await world.fault({ ...refusing(id), action: { status: 200, body: { [id]: false } } });
    await expect(avamar.cancel(context, id)).rejects.toMatchObject({ kind: 'REFUSED' });
    const body = { code: 400, exception: 'X', message: 'Not now.', details: null, event: null };
    await world.fault({ ...refusing(id), action: { status: 400, body } });
    await expect(avamar.cancel(context, id)).rejects.toMatchObject({ kind: 'REFUSED', vendorMessage: 'Not now.' });
    expect((await avamar.sessions(context, [id]))[0]).toMatchObject({ state: 'RUNNING' });
  });

  test('is as good as done when the session has ended meanwhile, or nobody knows it', async () => {
    const id = await running('over');
    await world.advance(2_000);
    await ended(avamar, context, id);
    await world.fault({ ...refusing(id), action: { status: 200, body: { [id]: false } } });
    await avamar.cancel(context, id);
    await avamar.cancel(context, 'nobody');
    expect((await avamar.sessions(context, [id]))[0]).toMatchObject({ state: 'SUCCEEDED' });
  });

  test('whose answer was lost may have stopped it', async () => {
    const id = await running('unheard');
    await world.fault({ method: 'POST', path: `/${id}/cancel$`, when: 'after', times: 1, action: { drop: true } });
    await expect(avamar.cancel(context, id)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    await world.advance(60);
    expect(await ended(avamar, context, id)).toMatchObject({ state: 'CANCELLED' });
  });
});

describe('backups as Avamar lists them', () => {
  const listed = async (...content: object[]): Promise<ResultReport[]> => {
    const body = { content, number: 0, last: true, totalPages: 1, totalElements: content.length };
    await world.fault({ method: 'GET', path: '/clients/c1/backups$', when: 'before', action: { status: 200, body } });
    const found = await resultsOf(['c1']);
    await world.noFaults();
    return found;
  };
  const MADE = Date.parse('2026-03-01T10:00:00Z');
  const DAY = 86_400_000;

  test('have the same times whether the server counts seconds or milliseconds', async () => {
    for (const unit of [1, 1_000]) {
      const times = { creationTime: MADE / unit, expirationTime: (MADE + 7 * DAY) / unit };
      expect(await listed({ labelNumber: 7, ...times })).toMatchObject([
        { createdAt: new Date(MADE), copies: [{ vendorId: '7', expiresAt: new Date(MADE + 7 * DAY) }] },
      ]);
    }
    expect(await listed({ labelNumber: '7', date: '2026-03-01T11:00:00+01:00', expirationTime: 0 })).toMatchObject([
      { createdAt: new Date(MADE), sizeBytes: null, copies: [{ expiresAt: null, expiryEstimated: false }] },
    ]);
  });

  test('have a copy for each place where they are', async () => {
    const remote = { labelNumber: '101', location: 'Remote', destId: 'D1', expirationTime: MADE };
    const backup = { labelNumber: '7', creationTime: MADE };
    const places = async (one: object) =>
      (await listed(one)).map(({ vendorBackupId, copies }) => [
        vendorBackupId,
        ...copies.map(({ location, vendorId }) => `${vendorId} at ${location}`),
      ]);
    expect(await places({ ...backup, location: 'Local', children: [remote] })).toEqual([
      ['c1/7', '7 at Local', '101 at D1'],
    ]);
    expect(await places({ ...backup, location: '', localMissing: true, children: [remote] })).toEqual([
      ['c1/7', '101 at D1'],
    ]);
    expect(await places({ ...backup, location: '', localMissing: true })).toEqual([['c1/7']]);
    // Its number is the other server's, and there may be a backup of that number here.
    expect(await places({ ...backup, ...remote })).toEqual([['c1/101@D1', '101 at D1']]);
  });

  test('of a client that was deleted are none, and of one that was retired are what it had', async () => {
    const vm = await world.deploy('retired');
    const { vendorVmRef, vendorSessionId } = await avamar.startBackup(context, vm, ALL);
    const { vendorBackupId } = await ended(avamar, context, vendorSessionId);
    const asked = { forceRetire: true };
    await world.atConsole('POST', `/clients/${vendorVmRef}/retire`, asked);
    expect(await resultsOf([vendorVmRef])).toMatchObject([{ vendorBackupId }]);
    expect(await resultsOf(['no-such-client'])).toEqual([]);
  });
});

describe('a list that cannot be whole', () => {
  const answered = (body: object) =>
    world.fault({ method: 'GET', path: '/activities$', when: 'before', action: { status: 200, body } });
  const activity = (id: number) => ({
    id: String(id),
    cid: 'c1',
    type: 'On-Demand Backup',
    state: 'RUNNING',
    queuedDate: '2026-03-01T10:00:00Z',
  });
  const look = () => avamar.sessionsSince(context, FOREVER);

  test.each([
    ['the same page again', { content: [activity(1)], number: 0, last: false }],
    ['the same page again, without its number', { content: [activity(1)], last: false }],
    ['less than it says there is', { content: [activity(1)], number: 0, last: true, totalElements: 2 }],
    ['nothing where there is something', { content: [], number: 0, last: true, totalElements: 1 }],
  ])('is not believed: %s', async (_, body) => {
    await answered(body);
    await expect(look()).rejects.toMatchObject({ kind: 'FAILED' });
  });

  test('is read to its end when pages are smaller than asked for and none says that it is the last', async () => {
    for (const content of [[activity(2)], [activity(1)], []]) {
      const action = { status: 200, body: { content } };
      await world.fault({ method: 'GET', path: '/activities$', when: 'before', times: 1, action });
    }
    expect((await look()).map(({ vendorSessionId }) => vendorSessionId)).toEqual(['2', '1']);
  });

  test('is whole when it says so', async () => {
    await answered({ content: [activity(2), activity(1)], number: 0, last: true, totalElements: 2 });
    expect((await look()).map(({ vendorSessionId }) => vendorSessionId)).toEqual(['2', '1']);
  });
});
