import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, type Json, startWorld, until, type World } from './simulated-world.ts';

const DAY = 86_400;
const destinationNamed = (name: string, host = '10.0.0.9') => ({
  name,
  encryption: 'HIGH',
  pluginNumber: 1008,
  configFlags: [
    { flagId: 'dstaddr', name: 'dstaddr', pluginNumber: 1008, value: host, type: 'string', command: 'REPL_CONFIG' },
  ],
});

describe('the Avamar simulator: replication', () => {
  let world: World;
  let machines = 0;
  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.control('DELETE', '/outcomes');
    await world.control('POST', '/settings', { backupSeconds: 0.1, replicationSeconds: 0.1, restoreSeconds: 0.1 });
  });

  /** A client of a machine of its own, with its machine's name. */
  const newClient = async (): Promise<{ cid: string; id: string; moref: string }> => {
    machines += 1;
    const id = `repl-${machines}`;
    const moref = await world.deploy(id, id);
    await world.addClients([`VirtualMachine:${moref}`]);
    return { cid: await world.clientOf(moref), id, moref };
  };
  const newDestination = async (name: string): Promise<Json> =>
    (await world.api('POST', '/replication/destinations', destinationNamed(name))).body;
  const newGroup = async (name: string, members: string[], more: object = {}): Promise<Json> => {
    const destination = await newDestination(`to ${name}`);
    const dto = { name, destinationServerId: destination.id, scheduleId: 'Default:REPL_SCHEDULEID', members, ...more };
    const answer = await world.api('POST', '/replication/groups', dto);
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const runsOf = async (name: string): Promise<Json[]> =>
    (await world.api('GET', `/activities?recursive=true&filter=pluginName=='Replicate'&filter=groupFqdn=='/${name}'`))
      .body.content;
  const start = (group: Json): Promise<Answer> => world.api('POST', `/replication/groups/${group.id}/run`);
  /** Runs a group and returns the activity of the run when it has ended. */
  const run = async (group: Json): Promise<Json> => {
    const before = (await runsOf(group.name)).length;
    expect((await start(group)).body).toEqual([{ name: group.name, success: true }]);
    const runs = await until(
      () => runsOf(group.name),
      (found) => found.length > before && found.every(({ completedDate }) => completedDate !== undefined),
    );
    return runs.at(-1);
  };
  const backups = async (cid: string): Promise<Json[]> =>
    (await world.api('GET', `/clients/${cid}/backups?includeRemote=true`)).body.content;

  test('a destination is kept with its address, and its name is its own', async () => {
    const made = await world.api('POST', '/replication/destinations', destinationNamed('second site'));
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'second site', host: '10.0.0.9', domain: '/', pluginNumber: 1008 });
    const path = `/replication/destinations/${made.body.id}`;
    const all = (await world.api('GET', '/replication/destinations')).body;
    expect(Array.isArray(all)).toBe(true);
    expect(all.map(({ id }: Json) => id)).toContain(made.body.id);
    expect((await world.api('POST', '/replication/destinations', destinationNamed('second site'))).status).toBe(400);
    const moved = await world.api('PUT', path, destinationNamed('second site', '10.0.0.10'));
    expect(moved.body).toMatchObject({ id: made.body.id, host: '10.0.0.10', systemId: made.body.systemId });
    expect((await world.api('DELETE', path)).status).toBe(204);
    expect((await world.api('GET', path)).status).toBe(404);
    expect((await world.api('GET', '/replication/plugins')).body).toEqual({ 1008: 'Replicate' });
  });

  test('a destination that cannot be reached does not verify, nor does one without an address', async () => {
    const verify = (dto: object) => world.api('POST', '/replication/destinations/verify', dto);
    expect((await verify(destinationNamed('site'))).status).toBe(200);
    expect((await verify(destinationNamed('site', 'avamar.invalid'))).status).toBe(400);
    expect((await verify({ ...destinationNamed('site'), configFlags: [] })).status).toBe(400);
    const { encryption: _, ...incomplete } = destinationNamed('site');
    expect((await verify(incomplete)).body.message).toContain('encryption');
  });

  test('a group is kept as it was asked for, and names what it uses', async () => {
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

  test('a copy outlives its backup, is restored by itself, and goes when it is deleted', async () => {
    const { cid, id, moref } = await newClient();
    await world.write(id, 'precious');
    const { labelNumber } = (await world.backUp(cid)).stats;
    const group = await newGroup('outlives', [cid], { retention: { override: true, noTag: 1, noTagUnit: 'YEARS' } });
    await run(group);
    const [{ children, creationTime, expirationTime }] = (await backups(cid)) as [Json];
    const [copy] = children;
    expect(copy.expirationTime).toBeGreaterThan(expirationTime);
    expect(copy.expirationTime - creationTime).toBeGreaterThanOrEqual(365 * DAY * 1000);

    await world.api('DELETE', `/clients/${cid}/backups/${labelNumber}/delete`);
    expect((await world.api('GET', `/clients/${cid}/backups`)).body.totalElements).toBe(0);
    expect(await backups(cid)).toEqual([
      expect.objectContaining({ labelNumber, localMissing: true, location: '', children: [copy] }),
    ]);
    expect((await world.api('GET', `/clients/${cid}/backups/${labelNumber}`)).status).toBe(404);

    const remote = (call: string) =>
      `/clients/${cid}/backups/${copy.labelNumber}${call}?destId=${group.destinationServerId}`;
    expect((await world.api('GET', remote(''))).body).toMatchObject({ location: 'Remote', name: copy.name });
    expect((await world.api('GET', remote('/disks'))).body).toHaveLength(1);
    await world.write(id, 'spoilt');
    const target = { pluginNumber: 1016, vmEntityId: `VirtualMachine:${moref}` };
    expect((await world.api('POST', `/clients/${cid}/backups/${labelNumber}/restore:vm`, target)).status).toBe(404);
    const elsewhere = (await newDestination('elsewhere')).id;
    const wrong = `/clients/${cid}/backups/${copy.labelNumber}/restore:vm?destId=${elsewhere}`;
    expect((await world.api('POST', wrong, target)).status).toBe(404);
    const restore = await world.ended((await world.api('POST', remote('/restore:vm'), target)).body);
    expect(restore).toMatchObject({ type: 'Restore', state: 'SUCCESS', cid });
    expect(await world.read(id)).toBe('precious');

    const soon = copy.creationTime + 2 * DAY * 1000;
    const move = `${remote('/update-expiration')}&expiration=${soon}`;
    expect((await world.api('PUT', move)).status).toBe(200);
    expect((await world.api('GET', remote(''))).body.expirationTime).toBe(soon);
    expect((await world.api('DELETE', remote('/delete'))).status).toBe(204);
    expect((await world.api('GET', remote(''))).status).toBe(404);
    expect(await backups(cid)).toEqual([]);
  });

  test('an expired backup is missing beside its copy; a copy that would be expired is not made', async () => {
    const { cid } = await newClient();
    const { now } = (await world.control('GET', '/clock')).body;
    await world.backUp(cid, { expireTime: Date.parse(now) + 5 * DAY * 1000 });
    const [long, short] = [
      await newGroup('long', [cid], { retention: { override: true, noTag: 1, noTagUnit: 'YEARS' } }),
      await newGroup('short', [cid], { retention: { override: true, noTag: 1, noTagUnit: 'DAYS' } }),
    ];
    await run(long);
    await world.pass(2 * DAY);
    expect((await run(short)).stats.bytesProcessed).toBe(0);
    expect((await backups(cid))[0]).toMatchObject({ localMissing: false, children: [{ destName: 'to long' }] });
    await world.pass(4 * DAY);
    expect(await backups(cid)).toEqual([expect.objectContaining({ localMissing: true, location: '' })]);
  });

  test('what goes while a run goes on is told truthfully', async () => {
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

  test('a destination that holds copies goes only by force, and they with it', async () => {
    const { cid } = await newClient();
    await world.backUp(cid);
    const group = await newGroup('forced', [cid]);
    await run(group);
    await world.api('DELETE', `/replication/groups/${group.id}`);
    const path = `/replication/destinations/${group.destinationServerId}`;
    expect((await world.api('DELETE', path)).body.message).toContain('holds 1 remote backups');
    expect((await world.api('DELETE', `${path}?force=true`)).status).toBe(204);
    expect((await backups(cid))[0].children).toEqual([]);
  });

  test('the filter chooses by time, number and tag, the order numbers the copies', async () => {
    const { cid } = await newClient();
    await world.backUp(cid);
    await world.pass(3 * DAY);
    const tagged = (await world.backUp(cid)).stats.labelNumber;
    await world.api('PUT', `/clients/${cid}/backups/${tagged}/update-retention-tags?retention=DM`);
    await world.backUp(cid);
    const copied = async (): Promise<number[]> => (await backups(cid)).map(({ children }) => children.length);

    const tags = { backupFilter: { monthlyTag: true } };
    const retention = { override: true, monthlyTag: 2, monthlyTagUnit: 'YEARS', dailyTag: 1, dailyTagUnit: 'DAYS' };
    await run(await newGroup('monthly', [cid], { ...tags, retention }));
    expect(await copied()).toEqual([0, 1, 0]);
    const [, { children, creationTime }] = (await backups(cid)) as [Json, Json];
    expect(children[0].expirationTime - creationTime).toBeGreaterThan(700 * DAY * 1000);
    const within = { dateRestriction: 'WITHIN', within: 1, durationUnit: 'DAYS' };
    await run(await newGroup('recent', [cid], { backupFilter: within, orderingCriterion: 'NEWEST_TO_OLDEST' }));
    expect(await copied()).toEqual([1, 2, 0]);
    await run(await newGroup('untagged', [cid], { backupFilter: { noTag: true, maxBackupsPerClient: 1 } }));
    expect(await copied()).toEqual([2, 2, 0]);
    const before = new Date(creationTime - DAY * 1000).toISOString();
    const range = { dateRestriction: 'RANGE', before };
    const all = await newGroup('range', [cid], { backupFilter: range });
    await run(all);
    expect(await copied()).toEqual([2, 2, 1]);
    const numbers = (await backups(cid)).map((backup) =>
      backup.children.filter(({ destName }: Json) => destName === 'to recent').map((copy: Json) => copy.labelNumber),
    );
    expect(numbers).toEqual([['101'], ['102'], []]);
  });

  test('a run that is going on is not begun twice; cancelled, it leaves nothing behind', async () => {
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

  test('a retired client’s copies get the time that was asked for', async () => {
    const { cid } = await newClient();
    await world.backUp(cid);
    await run(await newGroup('retired', [cid]));
    const remoteBackupExpirationTime = '2099-01-01T00:00:00.000Z';
    await world.api('POST', `/clients/${cid}/retire`, { remoteBackupExpirationTime });
    const [{ children, expirationTime }] = (await backups(cid)) as [Json];
    expect(children[0].expirationTime).toBe(Date.parse(remoteBackupExpirationTime));
    expect(expirationTime).not.toBe(children[0].expirationTime);
  });

  test('a restart forgets neither copies nor a run that is going on', async () => {
    const { cid } = await newClient();
    await world.backUp(cid);
    const group = await newGroup('survives', [cid]);
    await run(group);
    await world.backUp(cid);
    await world.control('POST', '/settings', { replicationSeconds: 600 });
    await start(group);
    const running = (await runsOf('survives')).at(-1);
    await world.restartAvamar();
    expect((await backups(cid)).map(({ children }) => children.length)).toEqual([0, 1]);
    expect((await start(group)).body[0].success).toBe(false);
    await world.pass(600);
    expect((await world.ended(running.id)).state).toBe('SUCCESS');
    expect((await backups(cid)).map(({ children }) => children.length)).toEqual([1, 1]);
  });
});
