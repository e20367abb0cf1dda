import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ReplicationTarget } from '../../../activities/backup-systems/avamar/config.ts';
import { type BackupSystem, Secret, type SessionReport } from '../../../activities/backup-systems/backup-system.ts';
import { openContext, resultsOf } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, ended, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
let vault: string;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = configured({ destination: 'vault' });
  vault = await world.destination('vault');
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

const REPLICATED = scheduleOf([daily('23:00')], { replication: true });
const NOT_REPLICATED = scheduleOf([daily('23:00')]);
const configured = (target: ReplicationTarget, managers: Record<string, ReplicationTarget> = {}): BackupSystem =>
  world.connect({}, { replication: { ...target, managers } });

/** A VM that was backed up so many times; ids of the backups, the oldest first. */
async function backedUp(name: string, count: number) {
  const vm = await world.deploy(name);
  const backups: string[] = [];
  let cid = '';
  while (backups.length < count) {
    const started = await avamar.startBackup(context, vm, { retentionDays: 7, disks: null });
    cid = started.vendorVmRef;
    backups.push((await ended(avamar, context, started.vendorSessionId)).vendorBackupId ?? '');
    // Two backups of one second cannot be told apart by their time, and no client makes two in one.
    await world.advance(60);
  }
  return { vm, cid, backups };
}

const groupsOf = (vmId: string) => world.replicationGroups(`holdfast-${vmId}-`);

/** Where each backup of the client is, by its number. */
async function locations(cid: string): Promise<Record<string, string[]>> {
  const results = await resultsOf(avamar, [{ vendorVmRef: cid, schedule: null }]);
  return Object.fromEntries(
    results.map(({ vendorBackupId, copies }) => [vendorBackupId, copies.map(({ location }) => location)]),
  );
}

describe('a policy with replication', () => {
  test('gives the VM a group of its own, once, which goes with the last such policy', async () => {
    const vm = await world.deploy('scheduled');
    const ref = await avamar.applySchedule(context, vm, REPLICATED, undefined);
    expect(await groupsOf(vm.id)).toMatchObject([
      {
        name: `holdfast-${vm.id}-replication`,
        enabled: true,
        destinationServerId: vault,
        scheduleId: 'Default:REPL_SCHEDULEID',
        encryption: 'HIGH',
        members: [ref.vmRef],
        allClients: false,
        allBackups: true,
      },
    ]);
    const again = openContext();
    expect(await avamar.applySchedule(again, vm, REPLICATED, ref)).toEqual(ref);
    expect(again.writes).toBe(0);

    const without = await avamar.applySchedule(context, vm, NOT_REPLICATED, ref);
    expect(await groupsOf(vm.id)).toEqual([]);
    await avamar.applySchedule(context, vm, REPLICATED, without);
    await avamar.removeSchedule(context, vm, undefined);
    expect(await groupsOf(vm.id)).toEqual([]);
  });

  test('copies all backups of the VM by its schedule, which the watch sees', async () => {
    const { vm, cid, backups } = await backedUp('copied', 2);
    await avamar.applySchedule(context, vm, REPLICATED, undefined);
    const since = await avamar.serverTime(context);
    await world.advance(86_400);
    const look = async () =>
      (await avamar.sessionsSince(context, since)).find((one) => one.kind === 'REPLICATION' && one.vendorVmRef === cid);
    const begun = await until(look, (one) => one !== undefined);
    expect(begun).toMatchObject({ scheduled: true, scheduledBy: null, vendorBackupId: null });
    expect(await ended(avamar, context, begun?.vendorSessionId ?? '')).toMatchObject({
      kind: 'REPLICATION',
      state: 'SUCCEEDED',
      vendorVmRef: cid,
      progress: 100,
    });
    const there = await locations(cid);
    for (const backup of backups) expect(there[backup]).toEqual(['Local', vault]);
    await avamar.removeSchedule(context, vm, undefined);
    expect((await locations(cid))[backups[0] ?? '']).toEqual(['Local', vault]);
  });

  test('is refused before anything is made when it is not decided where to', async () => {
    const other = await startAvamarWorld();
    try {
      const vm = await other.deploy('undecided');
      const refusedWith = async (target: ReplicationTarget, message: RegExp) => {
        const asking = openContext();
        const system = other.connect({}, { replication: { ...target, managers: {} } });
        const applied = system.applySchedule(asking, vm, REPLICATED, undefined);
        await expect(applied).rejects.toMatchObject({ kind: 'REFUSED', message: expect.stringMatching(message) });
        expect(asking.writes).toBe(0);
      };
      await refusedWith({}, /destinations: none.*write the name of one as replication\.destination/);
      await refusedWith({ destination: 'vault' }, /no replication destination vault \(it has: none\)/);
      await other.destination('east');
      await other.destination('west');
      await refusedWith({}, /destinations: east, west/);
      await refusedWith({ destination: 'east', schedule: 'no-such' }, /no schedule no-such/);
      const named = other.connect({}, { replication: { managers: { 'avamar-1': { destination: 'west' } } } });
      await named.applySchedule(context, vm, REPLICATED, undefined);
      expect(await other.replicationGroups(`holdfast-${vm.id}-`)).toHaveLength(1);
    } finally {
      await other.close();
    }
  });

  test('is told by a check when it is not decided where to; other policies are served all the same', async () => {
    const unknown = configured({ destination: 'nowhere' });
    const [copied, plain] = (await unknown.check(context, ['COPIED', 'PLAIN'], ['COPIED'])).policies;
    expect(copied).toMatchObject({ code: 'COPIED', ok: false, message: expect.stringContaining('nowhere') });
    expect(plain).toMatchObject({ code: 'PLAIN', ok: true });
    expect((await avamar.check(context, ['COPIED'], ['COPIED'])).policies).toMatchObject([{ ok: true }]);
  });

  test('follows a VM that has become another client', async () => {
    const vm = await world.deploy('followed');
    const ref = await avamar.applySchedule(context, vm, REPLICATED, undefined);
    const { id } = (await groupsOf(vm.id))[0] ?? expect.unreachable();
    const other = await world.deploy('follower');
    const now = { ...other, id: vm.id, vendorRefs: [ref.vmRef] };
    const after = await avamar.applySchedule(context, now, REPLICATED, ref);
    expect(after.vmRef).not.toBe(ref.vmRef);
    expect(await groupsOf(vm.id)).toMatchObject([{ id, members: [after.vmRef] }]);
  });

  test('of a VM whose group was renamed is not removed in silence', async () => {
    const vm = await world.deploy('renamed');
    const ref = await avamar.applySchedule(context, vm, REPLICATED, undefined);
    const [group] = await groupsOf(vm.id);
    await world.atConsole('PUT', `/replication/groups/${group?.id}`, { ...group, name: 'By hand' });
    await expect(avamar.removeSchedule(context, vm, ref)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining(String(group?.id)),
    });
    expect(await world.replicationGroups('By hand')).toHaveLength(1);
  });
});

describe('a destination that the configuration describes', () => {
  const password = 'hunter2-of-the-vault';
  const target = (destination: string): ReplicationTarget => ({
    destination,
    create: { flags: { dstaddr: new Secret(`${destination}.test`), ap: new Secret(password) } },
  });
  const named = async (name: string) =>
    ((await world.atConsole('GET', '/replication/destinations')) as { name: string; host: string }[]).filter(
      (one) => one.name === name,
    );

  test('is made once, also when the answer is lost', async () => {
    await world.fault({
      method: 'POST',
      path: '/replication/destinations$',
      when: 'after',
      times: 1,
      action: { drop: true },
    });
    for (const name of ['first', 'second']) {
      const vm = await world.deploy(name);
      await configured(target('made')).applySchedule(context, vm, REPLICATED, undefined);
    }
    expect(await named('made')).toMatchObject([{ name: 'made', host: 'made.test' }]);
  });

  test('is not told of when it is refused: its options are secret', async () => {
    const body = { code: 400, exception: 'X', message: `No ${password} at bad.test.`, details: null, event: null };
    const path = '/replication/destinations$';
    await world.fault({ method: 'POST', path, when: 'before', action: { status: 400, body } });
    const vm = await world.deploy('refused');
    const error: unknown = await configured(target('bad'))
      .applySchedule(context, vm, REPLICATED, undefined)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'REFUSED', vendorMessage: 'No [secret] at [secret].' });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain(password);
  });

  test.each([
    { case: 'one begins with another', flags: { dstid: 'repl', ap: 'repl-hunter2' }, words: 'No repl-hunter2 here.' },
    { case: 'what was sent is repeated', flags: { ap: 'p"hunter2' }, words: JSON.stringify({ value: 'p"hunter2' }) },
  ])('is not told of in part either: $case', async ({ flags, words }) => {
    const path = '/replication/destinations$';
    const action = { status: 400, body: { code: 400, message: words } };
    await world.fault({ method: 'POST', path, when: 'before', action });
    const secret = Object.entries(flags).map(([flag, value]) => [flag, new Secret(value)] as const);
    const create = { flags: Object.fromEntries(secret) };
    const error: unknown = await configured({ destination: 'bad', create })
      .applySchedule(context, await world.deploy('refused-too'), REPLICATED, undefined)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'REFUSED', vendorMessage: expect.stringContaining('[secret]') });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('hunter2');
  });
});

describe('a replication on demand', () => {
  test('copies that backup alone, and is taken up again by a later attempt', async () => {
    const { vm, cid, backups } = await backedUp('one-of-three', 3);
    const [, chosen = ''] = backups;
    const since = await avamar.serverTime(context);
    const asked = { vendorVmRef: cid, vendorBackupId: chosen, since };
    const begun = await avamar.startReplication(context, vm, asked);
    expect(await configured({ destination: 'vault' }).startReplication(context, vm, asked)).toEqual(begun);
    expect(await ended(avamar, context, begun.vendorSessionId)).toMatchObject({
      kind: 'REPLICATION',
      state: 'SUCCEEDED',
      vendorVmRef: cid,
      scheduled: false,
    });
    const there = await locations(cid);
    expect(backups.map((backup) => there[backup])).toEqual([['Local'], ['Local', vault], ['Local']]);
    const seen = (await avamar.sessionsSince(context, since)).filter(({ vendorVmRef }) => vendorVmRef === cid);
    expect(seen.map(({ vendorSessionId }) => vendorSessionId)).toEqual([begun.vendorSessionId]);
  });

  test('leaves no group behind that runs by itself, and none at all once the VM changes', async () => {
    const { vm, cid, backups } = await backedUp('tidied', 2);
    await avamar.applySchedule(context, vm, NOT_REPLICATED, undefined);
    const begin = async (backup = '') => {
      const since = await avamar.serverTime(context);
      const asked = { vendorVmRef: cid, vendorBackupId: backup, since };
      return (await avamar.startReplication(context, vm, asked)).vendorSessionId;
    };
    await world.settings({ replicationSeconds: 1_000 });
    const first = await begin(backups[0]);
    const second = await begin(backups[1]);
    // The first is still at work; both have their own.
    const both = await groupsOf(vm.id);
    expect(both).toHaveLength(2);
    for (const { scheduleId } of both as { scheduleId?: string }[]) {
      expect(await world.atConsole('GET', `/schedules/${scheduleId}`)).toMatchObject({ recurrenceEnum: 'OnDemand' });
    }
    await avamar.removeSchedule(context, vm, undefined);
    expect(await groupsOf(vm.id)).toHaveLength(2);
    await world.advance(2_000);
    for (const id of [first, second]) expect(await ended(avamar, context, id)).toMatchObject({ state: 'SUCCEEDED' });
    await avamar.removeSchedule(context, vm, undefined);
    expect(await groupsOf(vm.id)).toEqual([]);
    await world.settings({ replicationSeconds: 0.2 });
  });

  test('makes what it runs by once, whatever becomes of an answer', async () => {
    const other = await startAvamarWorld();
    try {
      await other.destination('vault');
      const vm = await other.deploy('first-of-all');
      const system = other.connect();
      const made = await system.startBackup(context, vm, { retentionDays: 7, disks: null });
      const { vendorBackupId } = await ended(system, context, made.vendorSessionId);
      const since = await system.serverTime(context);
      const asked = { vendorVmRef: made.vendorVmRef, vendorBackupId: vendorBackupId ?? '', since };
      for (const path of ['/schedules$', '/replication/groups$', '/replication/groups/[^/]+/run$']) {
        await other.fault({ method: 'POST', path, when: 'after', times: 1, action: { drop: true } });
      }
      // The run is no named thing: what became of it is for the next attempt to see.
      await expect(system.startReplication(context, vm, asked)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
      const begun = await system.startReplication(context, vm, asked);
      expect(await ended(system, context, begun.vendorSessionId)).toMatchObject({ state: 'SUCCEEDED' });
      const runs = (await system.sessionsSince(context, since)).filter(({ kind }) => kind === 'REPLICATION');
      expect(runs.map(({ vendorSessionId }) => vendorSessionId)).toEqual([begun.vendorSessionId]);
      const { schedules, replicationGroups } = await other.inventory();
      expect(schedules).toMatchObject([{ name: 'holdfast-on-demand', recurrenceEnum: 'OnDemand' }]);
      expect(replicationGroups).toHaveLength(1);
    } finally {
      await other.close();
    }
  });

  test('of a VM that was deployed again does not wait for that of its old client’s backup of the same number', async () => {
    const vm = await world.deploy('twice');
    const backUp = async (machine: typeof vm) => {
      const started = await avamar.startBackup(context, machine, { retentionDays: 7, disks: null });
      const { vendorBackupId } = await ended(avamar, context, started.vendorSessionId);
      return { vendorVmRef: started.vendorVmRef, vendorBackupId: vendorBackupId ?? '' };
    };
    const since = await avamar.serverTime(context);
    const before = await backUp(vm);
    await world.settings({ replicationSeconds: 1_000 });
    await avamar.startReplication(context, vm, { ...before, since });
    const now = { ...(await world.redeploy(vm)), vendorRefs: [before.vendorVmRef] };
    const after = await backUp(now);
    expect(after.vendorBackupId.split('/')[1]).toBe(before.vendorBackupId.split('/')[1]);
    const begun = await avamar.startReplication(context, now, { ...after, since });
    await world.settings({ replicationSeconds: 0.2 });
    expect(begun.vendorVmRef).toBe(after.vendorVmRef);
    expect((await groupsOf(vm.id)).map(({ members }) => members)).toEqual([[before.vendorVmRef], [after.vendorVmRef]]);
  });

  test('needs no schedule that copies by itself', async () => {
    const { vm, cid, backups } = await backedUp('without-schedule', 1);
    const action = { status: 404, body: { code: 404, message: 'There is none.' } };
    await world.fault({ method: 'GET', path: '/schedules/Default', when: 'before', action });
    const since = await avamar.serverTime(context);
    const asked = { vendorVmRef: cid, vendorBackupId: backups[0] ?? '', since };
    expect(await avamar.startReplication(context, vm, asked)).toMatchObject({ vendorVmRef: cid });
  });

  test('of a backup that is not listed, or not yet, fails before anything is made and may be tried again', async () => {
    const { vm, cid } = await backedUp('gone', 1);
    const asking = openContext();
    const since = await avamar.serverTime(context);
    const asked = { vendorVmRef: cid, vendorBackupId: `${cid}/99`, since };
    await expect(avamar.startReplication(asking, vm, asked)).rejects.toMatchObject({ kind: 'FAILED' });
    expect(asking.writes).toBe(0);
  });

  test('that ends in part is a warning with its reason', async () => {
    const { vm, cid, backups } = await backedUp('in-part', 1);
    await world.outcome({ cid, kind: 'replication', state: 'PARTIAL_REPL', codeReason: 'One was locked.', times: 1 });
    const since = await avamar.serverTime(context);
    const asked = { vendorVmRef: cid, vendorBackupId: backups[0] ?? '', since };
    const { vendorSessionId } = await avamar.startReplication(context, vm, asked);
    expect(await ended(avamar, context, vendorSessionId)).toMatchObject({
      state: 'WARNING',
      message: expect.stringMatching(/^\d+: One was locked\.$/),
    });
  });
});

describe('a replication that an administrator made', () => {
  /** A group of several clients, run by hand. @returns the reports of those clients. */
  async function run(name: string, cids: readonly string[]): Promise<SessionReport[]> {
    const asked = { name, destinationServerId: vault, scheduleId: 'Default:REPL_SCHEDULEID', enabled: true };
    const { id } = (await world.atConsole('POST', '/replication/groups', {
      ...asked,
      members: cids,
      allBackups: true,
    })) as { id: string };
    const since = await avamar.serverTime(context);
    await world.atConsole('POST', `/replication/groups/${id}/run`);
    return until(
      async () => (await avamar.sessionsSince(context, since)).filter(({ vendorVmRef }) => cids.includes(vendorVmRef)),
      (found) => found.length === cids.length && found.every(({ endedAt }) => endedAt !== null),
    );
  }

  test('is a session for each of its VMs, with an id and an end of its own', async () => {
    const [good, bad] = [await backedUp('good', 1), await backedUp('bad', 1)];
    await world.outcome({ cid: bad.cid, kind: 'replication', state: 'FAILURE', codeReason: 'Full.', times: 1 });
    const reports = await run('All of them', [good.cid, bad.cid]);
    const of = (cid: string) => reports.find(({ vendorVmRef }) => vendorVmRef === cid);
    expect(of(good.cid)).toMatchObject({ kind: 'REPLICATION', state: 'SUCCEEDED', scheduled: false });
    expect(of(bad.cid)).toMatchObject({ state: 'FAILED', message: expect.stringContaining('Full.') });
    const ids = reports.map(({ vendorSessionId }) => vendorSessionId);
    expect(new Set(ids).size).toBe(2);
    expect((await avamar.sessions(context, ids)).map(({ vendorVmRef }) => vendorVmRef).toSorted()).toEqual(
      [good.cid, bad.cid].toSorted(),
    );
  });

  test('is that of the members of its group where it shows no clients, which are asked for once', async () => {
    const { cid } = await backedUp('unnamed', 1);
    const [report] = await run('Unnamed', [cid]);
    const activityId = report?.vendorSessionId.split('/')[0];
    const shown = (await world.atConsole('GET', `/activities/${activityId}`)) as Record<string, unknown>;
    const body = { content: [{ ...shown, children: [] }], number: 0, last: true, totalPages: 1, totalElements: 1 };
    await world.fault({ method: 'GET', path: '/activities$', when: 'before', action: { status: 200, body } });
    const fresh = world.connect();
    const look = () => fresh.sessionsSince(context, new Date(0));
    expect(await look()).toMatchObject([{ vendorSessionId: report?.vendorSessionId, vendorVmRef: cid }]);
    const before = await world.requests();
    await look();
    const after = await world.requests();
    const groupReads = (counts: Record<string, number>) =>
      Object.entries(counts)
        .filter(([call]) => call.includes('/replication/groups'))
        .reduce((sum, [, count]) => sum + count, 0);
    expect(groupReads(after)).toBe(groupReads(before));
  });
});

describe('a remote copy', () => {
  test('is what is restored when the backup is gone here, by the number that it has there', async () => {
    const { vm, cid, backups } = await backedUp('kept-away', 1);
    const [backup = ''] = backups;
    const since = await avamar.serverTime(context);
    const asked = { vendorVmRef: cid, vendorBackupId: backup, since };
    const { vendorSessionId } = await avamar.startReplication(context, vm, asked);
    await ended(avamar, context, vendorSessionId);
    await world.atConsole('DELETE', `/clients/${cid}/backups/${backup.split('/')[1]}/delete`);

    const [result] = await resultsOf(avamar, [{ vendorVmRef: cid, schedule: null }]);
    expect(result).toMatchObject({ vendorBackupId: backup, copies: [{ location: vault }] });
    const [copy] = result?.copies ?? [];
    const ref = { vendorVmRef: cid, vendorId: copy?.vendorId ?? '', location: vault };
    expect((await avamar.listed(context, [ref, { ...ref, location: 'Local' }])).size).toBe(1);
    const restore = await avamar.startRestore(context, vm, ref);
    expect(await ended(avamar, context, restore.vendorSessionId)).toMatchObject({
      kind: 'RESTORE',
      state: 'SUCCEEDED',
    });

    // The number is the copy's: the same one here would be another backup.
    const here = avamar.startRestore(context, vm, { ...ref, location: 'Local' });
    await expect(here).rejects.toMatchObject({ kind: 'REFUSED' });
  });
});
