import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DAY, replicationIn } from './avamar-replication-world.ts';
import { type Json, startWorld, type World } from './simulated-world.ts';

describe('the Avamar simulator: copies on other servers', () => {
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

  test('a copy outlives its backup, is restored by itself, and goes when it is deleted', async () => {
    const { newClient, newDestination, newGroup, run, backups } = replication;
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
    const { newClient, newGroup, run, backups } = replication;
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

  test('a destination that holds copies goes only by force, and they with it', async () => {
    const { newClient, newGroup, run, backups } = replication;
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
    const { newClient, newGroup, run, backups } = replication;
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

  test('a retired client’s copies get the time that was asked for', async () => {
    const { newClient, newGroup, run, backups } = replication;
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
    const { newClient, newGroup, runsOf, start, run, backups } = replication;
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
