import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { destinationNamed } from '../../avamar-console.ts';
import { DAY, replicationIn } from './avamar-replication-world.ts';
import { type Json, startWorld, until, type World } from './simulated-world.ts';

describe('the Avamar simulator: destinations and replication groups', () => {
  let world: World;
  let replication: ReturnType<typeof replicationIn>;
  beforeAll(async () => {
    world = await startWorld();
    replication = replicationIn(world);
  });
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.control('DELETE', '/outcomes');
    await world.control('POST', '/settings', { backupSeconds: 0.1, replicationSeconds: 0.1, restoreSeconds: 0.1 });
  });

  test('a destination is kept with its address, and its name is its own', async () => {
    const made = await world.api('POST', '/replication/destinations', destinationNamed('second site', '10.0.0.9'));
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'second site', host: '10.0.0.9', domain: '/', pluginNumber: 1008 });
    const path = `/replication/destinations/${made.body.id}`;
    const all = (await world.api('GET', '/replication/destinations')).body;
    expect(Array.isArray(all)).toBe(true);
    expect(all.map(({ id }: Json) => id)).toContain(made.body.id);
    expect(
      (await world.api('POST', '/replication/destinations', destinationNamed('second site', '10.0.0.9'))).status,
    ).toBe(400);
    const moved = await world.api('PUT', path, destinationNamed('second site', '10.0.0.10'));
    expect(moved.body).toMatchObject({ id: made.body.id, host: '10.0.0.10', systemId: made.body.systemId });
    expect((await world.api('DELETE', path)).status).toBe(204);
    expect((await world.api('GET', path)).status).toBe(404);
    expect((await world.api('GET', '/replication/plugins')).body).toEqual({ 1008: 'Replicate' });
  });

  test('a destination that cannot be reached does not verify, nor does one without an address', async () => {
    const verify = (dto: object) => world.api('POST', '/replication/destinations/verify', dto);
    expect((await verify(destinationNamed('site', '10.0.0.9'))).status).toBe(200);
    expect((await verify(destinationNamed('site', 'avamar.invalid'))).status).toBe(400);
    expect((await verify({ ...destinationNamed('site', '10.0.0.9'), configFlags: [] })).status).toBe(400);
    const { encryption: _, ...incomplete } = destinationNamed('site', '10.0.0.9');
    expect((await verify(incomplete)).body.message).toContain('encryption');
  });

  test('a group is kept as it was asked for, and names what it uses', async () => {
    const { newClient, newGroup } = replication;
    const { cid } = await newClient();
    const group = await newGroup('kept', [cid], { retention: { override: true, noTag: 3, noTagUnit: 'MONTHS' } });
    const path = `/replication/groups/${group.id}`;
    expect(group).toMatchObject({
      enabled: false,
      members: [cid],
      scheduleName: 'Default Replication Schedule',
      encryption: 'HIGH',
      orderingCriterion: 'OLDEST_TO_NEWEST',
    });
    expect((await world.api('GET', `/retentions/${group.retentionId}`)).body).toMatchObject({
      policyType: 'REPLICATION',
      noTag: 3,
      noTagUnit: 'MONTHS',
    });
    const { name, destinationServerId, scheduleId } = group;
    const dto = { name, destinationServerId, scheduleId };
    const changed = await world.api('PUT', path, { ...dto, enabled: true });
    expect(changed.body).toMatchObject({ enabled: true, members: [cid] });
    expect((await world.api('POST', '/replication/groups', dto)).status).toBe(400);
    expect((await world.api('PUT', path, { ...dto, destinationServerId: 'none' })).status).toBe(404);
    expect((await world.api('PUT', path, { ...dto, members: ['none'] })).status).toBe(404);
    expect((await world.api('DELETE', `/replication/destinations/${destinationServerId}`)).status).toBe(400);
    expect((await world.api('GET', `/clients/${cid}/member-of-replication-group`)).status).toBe(200);
    const found = await world.api('GET', '/replication/groups?filter=name==kept');
    expect(found.body).toMatchObject({ totalElements: 1, content: [{ id: group.id }] });
    expect((await world.api('DELETE', path)).status).toBe(204);
    expect((await world.api('GET', `/retentions/${group.retentionId}`)).status).toBe(404);
    expect((await world.api('GET', `/clients/${cid}/member-of-replication-group`)).status).toBe(204);
  });

  test('a run copies each member’s backups, shows its members, and copies nothing twice', async () => {
    const { newClient, newGroup, run, backups } = replication;
    const [one, two] = [await newClient(), await newClient()];
    const first = await world.backUp(one.cid);
    await world.backUp(one.cid);
    await world.backUp(two.cid);
    const group = await newGroup('both', [one.cid, two.cid]);
    const ended = await run(group);
    expect(ended).toMatchObject({
      state: 'SUCCESS',
      type: 'On-Demand Replication',
      pluginNumber: 1008,
      groupId: group.id,
      destinationServer: '10.0.0.9',
      domain: '/MC_SYSTEM',
      estimatedBytes: 3 * 10 * 1024 ** 3,
    });
    expect(ended.stats.bytesProcessed).toBe(3 * 10 * 1024 ** 3);
    expect(ended.wid).toMatch(/^MOD-both-\d+#0$/);
    expect(ended.children.map(({ cid }: Json) => cid)).toEqual([one.cid, two.cid]);
    expect(ended.children[1]).toMatchObject({ parentWid: ended.wid, wid: ended.wid.replace('#0', '#2') });
    const [child] = ended.children;
    expect((await world.api('GET', `/activities/${child.id}`)).body).toMatchObject({ cid: one.cid, state: 'SUCCESS' });

    const [, oldest] = await backups(one.cid);
    expect(oldest).toMatchObject({ location: 'Local', localMissing: false, labelNumber: first.stats.labelNumber });
    expect(oldest.children).toEqual([
      expect.objectContaining({
        location: 'Remote',
        destId: group.destinationServerId,
        destName: 'to both',
        name: oldest.name,
        creationTime: oldest.creationTime,
        expirationTime: oldest.expirationTime,
      }),
    ]);
    expect(oldest.children[0].labelNumber).not.toBe(oldest.labelNumber);
    const local = (await world.api('GET', `/clients/${one.cid}/backups`)).body.content;
    expect(local.map(({ children }: Json) => children)).toEqual([[], []]);

    expect((await run(group)).stats.bytesProcessed).toBe(0);
    expect((await backups(one.cid)).map(({ children }) => children.length)).toEqual([1, 1]);
  });

  test('the server’s own client is listed in its own domain, below the root, and is no machine', async () => {
    const below = (await world.api('GET', '/clients?domain=/&recursive=true&filter=domainFqdn==/MC_SYSTEM')).body;
    expect(below.content).toEqual([expect.objectContaining({ clientType: 'REGULAR' })]);
    expect((await world.api('GET', '/clients?domain=/')).body.totalElements).toBe(0);
    const machineClients = (await world.api('GET', `/virtualcenters/${world.vcCid}/clients?size=1000`)).body.content;
    expect(machineClients.every(({ clientType }: Json) => clientType === 'VMACHINE')).toBe(true);
  });

  test('what goes while a run goes on is told truthfully', async () => {
    const { newClient, newGroup, runsOf, start, backups } = replication;
    const { cid } = await newClient();
    await world.backUp(cid);
    await world.control('POST', '/settings', { replicationSeconds: 600 });
    const group = await newGroup('gone', [cid]);
    await start(group);
    const [going] = (await runsOf('gone')) as [Json];
    await world.control('DELETE', `/clients/${cid}`);
    await world.pass(600);
    expect((await world.ended(going.id)).state).toBe('CLIENT_NOT_REGISTERED');

    const other = await newClient();
    await world.backUp(other.cid);
    const cut = await newGroup('cut', [other.cid]);
    await start(cut);
    const [running] = (await runsOf('cut')) as [Json];
    await world.api('DELETE', `/replication/groups/${cut.id}`);
    await world.api('DELETE', `/replication/destinations/${cut.destinationServerId}`);
    await world.pass(600);
    expect(await world.ended(running.id)).toMatchObject({ state: 'FAILURE', children: [{ state: 'FAILURE' }] });
    expect((await backups(other.cid))[0].children).toEqual([]);
  });

  test('a run that is going on is not begun twice; cancelled, it leaves nothing behind', async () => {
    const { newClient, newGroup, runsOf, start, backups } = replication;
    const { cid } = await newClient();
    await world.backUp(cid);
    await world.control('POST', '/settings', { replicationSeconds: 600 });
    const group = await newGroup('cancelled', [cid]);
    await start(group);
    const [running] = await until(
      () => runsOf('cancelled'),
      ([found]) => found?.state === 'RUNNING',
    );
    expect((await start(group)).body).toEqual([
      expect.objectContaining({ success: false, error: expect.objectContaining({ code: 400 }) }),
    ]);
    expect((await world.api('GET', `/clients/${cid}/activity-is-running`)).status).toBe(204);
    expect((await world.backUp(cid)).state).toBe('SUCCESS');
    expect((await backups(cid)).map(({ children }) => children)).toEqual([[], []]);
    expect((await world.api('POST', `/activities/${running.id}/cancel`)).body).toEqual({ [running.id]: true });
    const ended = await world.ended(running.id);
    expect(ended.state).toBe('CANCELED');
    expect(ended.children.map(({ state }: Json) => state)).toEqual(['CANCELED']);
    expect((await backups(cid)).map(({ children }) => children)).toEqual([[], []]);
  });

  test('runs end as told: wholly, for one member, or in part', async () => {
    const { newClient, newGroup, run, backups } = replication;
    const [one, two] = [await newClient(), await newClient()];
    for (const { cid } of [one, two]) {
      await world.backUp(cid);
      await world.backUp(cid);
    }
    const group = await newGroup('told', [one.cid, two.cid]);
    await world.control('POST', '/outcomes', { kind: 'replication', state: 'FAILURE', codeReason: 'no way', times: 1 });
    const failed = await run(group);
    expect(failed).toMatchObject({ state: 'FAILURE', codeReason: 'no way' });
    expect(failed.children.map(({ state }: Json) => state)).toEqual(['FAILURE', 'FAILURE']);
    expect((await backups(one.cid)).map(({ children }) => children.length)).toEqual([0, 0]);

    await world.control('POST', '/outcomes', { kind: 'replication', cid: two.cid, state: 'FAILURE', times: 1 });
    expect((await run(group)).state).toBe('PARTIAL_REPL');
    expect((await backups(one.cid)).map(({ children }) => children.length)).toEqual([1, 1]);
    expect((await backups(two.cid)).map(({ children }) => children.length)).toEqual([0, 0]);

    await world.control('POST', '/outcomes', { kind: 'replication', state: 'PARTIAL_REPL', times: 1 });
    expect((await run(group)).state).toBe('PARTIAL_REPL');
    expect((await backups(two.cid)).map(({ children }) => children.length)).toEqual([0, 1]);
    expect((await run(group)).state).toBe('SUCCESS');
    expect((await backups(two.cid)).map(({ children }) => children.length)).toEqual([1, 1]);
  });

  test('an enabled group runs by its schedule, for all clients where it says so', async () => {
    const { newClient, newGroup, runsOf, backups } = replication;
    const { cid } = await newClient();
    await world.backUp(cid);
    const daily = {
      name: 'repl-daily',
      domainFqdn: '/',
      recurrenceEnum: 'Daily',
      dailyData: { timesOfDay: ['03:00'] },
    };
    const schedule = (await world.api('POST', '/schedules', daily)).body;
    const group = await newGroup('nightly', [], { allClients: true, enabled: true, scheduleId: schedule.id });
    expect((await world.api('GET', `/clients/${cid}/member-of-replication-group`)).status).toBe(200);
    expect((await world.api('DELETE', `/schedules/${schedule.id}`)).status).toBe(400);
    await world.pass(DAY);
    const [run] = await until(
      () => runsOf('nightly'),
      ([found]) => found?.completedDate !== undefined,
    );
    expect(run).toMatchObject({ type: 'Scheduled Replication', scheduleName: 'repl-daily', state: 'SUCCESS' });
    expect(run.wid).toMatch(/^repl-daily-nightly-\d+#0$/);
    expect(run.scheduledDate).toMatch(/T03:00:00/);
    expect((await backups(cid))[0].children).toHaveLength(1);
    await world.api('DELETE', `/replication/groups/${group.id}`);
  });
});
