import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Json, logIn, REGISTRATION, request, startWorld, until, type World } from './simulated-world.ts';

describe('the Avamar simulator: clients, backups, restores', () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.close());
  beforeEach(async () => {
    await world.control('DELETE', '/faults');
    await world.control('DELETE', '/outcomes');
    await world.control('POST', '/settings', { backupSeconds: 0.2, restoreSeconds: 0.2 });
  });
  const listed = async (cid = world.cid): Promise<Json[]> =>
    (await world.api('GET', `/clients/${cid}/backups`)).body.content;

  test('registering machines as clients succeeds for some and fails for others, each with its reason', async () => {
    const moref = await world.deploy('partial', 'partial-1');
    const results = await world.addClients([
      `VirtualMachine:${moref}`,
      `VirtualMachine:${world.moref}`,
      'VirtualMachine:vm-1',
    ]);
    expect(results.map(({ success }: Json) => success)).toEqual([true, false, false]);
    expect(results[1].error.message).toContain('already exists');
    expect(results[2].error.message).toContain('not found');
  });

  test('a client is found by the machine’s entity, and the entity by the client', async () => {
    const client = (await world.api('GET', `/clients/${world.cid}`)).body;
    expect(client).toMatchObject({
      id: world.cid,
      clientType: 'VMACHINE',
      domainFqdn: '/vcenter.simulated/VirtualMachines',
    });
    expect(client.name).toMatch(/^web-1_/);
    const entity = (await world.api('GET', `/virtualcenters/${world.vcCid}/clients/${world.cid}`)).body;
    expect(entity).toMatchObject({ id: `VirtualMachine:${world.moref}`, name: 'web-1', deleted: false });

    const gone = await world.deploy('gone', 'gone-1');
    await world.addClients([`VirtualMachine:${gone}`]);
    const goneClient = await world.clientOf(gone);
    await world.vcenter('DELETE', '/vms/gone');
    const remembered = (await world.api('GET', `/virtualcenters/${world.vcCid}/clients/${goneClient}`)).body;
    expect(remembered).toMatchObject({ id: `VirtualMachine:${gone}`, deleted: true });
  });

  test('the inventory is a tree with the machines as they are now', async () => {
    const moref = await world.deploy('tree', 'tree-1');
    const path = encodeURIComponent('/Datacenter/vm');
    const tree = await world.api(
      'GET',
      `/virtualcenters/${world.vcCid}/entities?path=${path}&recursive=true&fields=children`,
    );
    const node = tree.body.children.find(({ name }: Json) => name === 'tree-1');
    expect(node).toMatchObject({
      id: `VirtualMachine:${moref}`,
      type: 'VirtualMachine',
      client: false,
      poweredOn: false,
    });
  });

  test('an on-demand backup waits, runs, and leaves a label', async () => {
    await world.control('POST', '/settings', { backupSeconds: 600 });
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const answer = await world.api('POST', `/clients/${world.cid}/backup`, { targets });
    expect(answer.status).toBe(200);
    const [id] = answer.body;
    const [behind] = (await world.api('POST', `/clients/${world.cid}/backup`, { targets })).body;

    await world.pass(300);
    const running = await until(
      () => world.api('GET', `/activities/${id}`),
      ({ body }) => body.stats.bytesProcessed > 0,
    );
    expect(running.body).toMatchObject({ state: 'RUNNING', type: 'On-Demand Backup', cid: world.cid, user: 'MCUser' });
    expect(running.body.estimatedBytes).toBe(10 * 1024 ** 3);
    expect(running.body.stats.labelNumber).toBeUndefined();
    const waiting = (await world.api('GET', `/activities/${behind}`)).body;
    expect(waiting.state).toBe('WAITING');
    expect(waiting.activatedDate).toBeUndefined();
    expect((await world.api('GET', `/clients/${world.cid}/activity-is-running`)).status).toBe(200);
    await world.api('POST', `/activities/${behind}/cancel`);
    expect((await world.ended(behind)).state).toBe('CANCELED');

    await world.pass(300);
    const done = await world.ended(id);
    expect(done).toMatchObject({ state: 'SUCCESS', errorCode: 0 });
    const [newest] = await listed();
    expect(newest).toMatchObject({ labelNumber: done.stats.labelNumber, location: 'Local', size: 10 * 1024 ** 3 });
    expect(newest.expirationTime).toBe(done.effectiveExpiration);
    expect((await world.api('GET', `/clients/${world.cid}/activity-is-running`)).status).toBe(204);
    expect((await world.api('GET', `/activities/${id}/log`)).body).toContain('Ended SUCCESS');
  });

  test('activities of machines show only to a caller who asks below the root', async () => {
    await world.backUp();
    expect((await world.api('GET', '/activities')).body.totalElements).toBe(0);
    const below = await world.api('GET', `/activities?recursive=true&filter=cid==${world.cid}&filter=state=='SUCCESS'`);
    expect(below.body.totalElements).toBeGreaterThan(0);
  });

  test('a restore brings back what was on the disks', async () => {
    await world.write('a1', 'before');
    const { stats } = await world.backUp();
    await world.write('a1', 'after');

    const vmEntityId = `VirtualMachine:${world.moref}`;
    const answer = await world.api('POST', `/clients/${world.cid}/backups/${stats.labelNumber}/restore:vm`, {
      pluginNumber: 1016,
      vcCid: world.vcCid,
      vmEntityId,
      powerMode: 'on',
    });
    expect(answer.status).toBe(200);
    expect(typeof answer.body).toBe('string');
    const restore = await world.ended(answer.body);
    expect(restore).toMatchObject({ type: 'Restore', state: 'SUCCESS', cid: world.cid, targetCid: world.cid });
    expect(await world.read('a1')).toBe('before');
    expect((await world.vcenter('GET', '/vms/a1')).body.power).toBe('ON');
  });

  test('a backup of a machine that was made again is restored into the new one', async () => {
    const old = await world.deploy('again', 'again-1');
    await world.addClients([`VirtualMachine:${old}`]);
    const oldClient = await world.clientOf(old);
    await world.write('again', 'precious');
    const { stats } = await world.backUp(oldClient);
    await world.vcenter('DELETE', '/vms/again');
    const fresh = await world.deploy('again', 'again-1');
    expect(await world.clientOf(fresh)).toBe('');

    const path = `/clients/${oldClient}/backups/${stats.labelNumber}/restore:vm`;
    const lost = await world.api('POST', path, { pluginNumber: 1016, vmEntityId: `VirtualMachine:${old}` });
    expect((await world.ended(lost.body)).state).toBe('NO_VM');
    const restore = await world.api('POST', path, { pluginNumber: 1016, vmEntityId: `VirtualMachine:${fresh}` });
    expect((await world.ended(restore.body)).state).toBe('SUCCESS');
    expect(await world.read('again')).toBe('precious');
  });

  test('a restore as a new machine makes one beside the old', async () => {
    await world.write('a1', 'copy me');
    const { stats } = await world.backUp();
    const newVm = {
      name: 'web-1-restored',
      datacenter: '/D/',
      esx: 'e',
      folderPath: '/D/vm/',
      resourcePool: '/D/host',
    };
    const answer = await world.api('POST', `/clients/${world.cid}/backups/${stats.labelNumber}/restore:vm`, {
      pluginNumber: 1016,
      newVm,
    });
    expect((await world.ended(answer.body)).state).toBe('SUCCESS');
    const { vms } = (await world.vcenter('GET', '/vms')).body;
    const made = vms.find(({ name }: Json) => name === 'web-1-restored');
    expect(made.id).toBeNull();
    expect((await world.vcenter('GET', `/morefs/${made.moref}/contents`)).body.disks).toEqual({ system: 'copy me' });
  });

  test('a restore fails truthfully when the machine lacks the disk, and takes the hardware along when asked to', async () => {
    const moref = await world.deploy('disks', 'disks-1');
    await world.addClients([`VirtualMachine:${moref}`]);
    const cid = await world.clientOf(moref);
    const system = { label: 'system', sizeGiB: 10 };
    await world.vcenter('PATCH', '/vms/disks', { disks: [system, { label: 'data', sizeGiB: 5 }] });
    const { stats } = await world.backUp(cid);
    await world.vcenter('PATCH', '/vms/disks', { disks: [system] });

    const restore = async (restoreConf: boolean) => {
      const body = { pluginNumber: 1016, vmEntityId: `VirtualMachine:${moref}`, restoreConf };
      return world.ended(
        (await world.api('POST', `/clients/${cid}/backups/${stats.labelNumber}/restore:vm`, body)).body,
      );
    };
    const refused = await restore(false);
    expect(refused.state).toBe('FAILURE');
    expect(refused.codeReason).toContain('data');
    expect((await restore(true)).state).toBe('SUCCESS');
    expect((await world.vcenter('GET', '/vms/disks')).body.disks).toHaveLength(2);
  });

  test('a running activity can be cancelled, an ended one cannot', async () => {
    await world.control('POST', '/settings', { backupSeconds: 60 });
    const before = (await listed()).length;
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const [id] = (await world.api('POST', `/clients/${world.cid}/backup`, { targets })).body;
    expect((await world.api('POST', `/activities/${id}/cancel`)).body).toEqual({ [id]: true });
    expect((await world.ended(id)).state).toBe('CANCELED');
    expect((await world.api('POST', `/activities/${id}/cancel`)).body).toEqual({ [id]: false });
    expect(await listed()).toHaveLength(before);
  });

  test('the next activities end as told', async () => {
    await world.control('POST', '/outcomes', { clientName: 'web-1', state: 'FAILURE', times: 1 });
    const failed = await world.backUp();
    expect(failed).toMatchObject({ state: 'FAILURE', errorCode: 10026 });
    expect(failed.stats.labelNumber).toBeUndefined();
    await world.control('POST', '/outcomes', { cid: world.cid, state: 'PARTIAL_SUCCESS', times: 1 });
    const partial = await world.backUp();
    expect(partial.state).toBe('PARTIAL_SUCCESS');
    expect(partial.stats.labelNumber).toBeDefined();
    expect((await world.backUp()).state).toBe('SUCCESS');
  });

  test('a backup of a machine that is gone ends NO_VM', async () => {
    const moref = await world.deploy('lost', 'lost-1');
    await world.addClients([`VirtualMachine:${moref}`]);
    const cid = await world.clientOf(moref);
    await world.vcenter('DELETE', '/vms/lost');
    expect((await world.backUp(cid)).state).toBe('NO_VM');
  });

  test('a lost answer is found in the audit', async () => {
    const path = `^/api/v1/clients/${world.cid}/backup$`;
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const count = async () =>
      (await world.api('GET', `/activities?recursive=true&filter=cid==${world.cid}`)).body.totalElements;
    const before = await count();

    await world.control('POST', '/faults', { path, when: 'before', times: 1, action: { drop: true } });
    await expect(world.api('POST', `/clients/${world.cid}/backup`, { targets })).rejects.toThrow();
    expect(await count()).toBe(before);

    const since = (await world.control('GET', '/clock')).body.now;
    await world.control('POST', '/faults', { path, when: 'after', times: 1, action: { drop: true } });
    await expect(world.api('POST', `/clients/${world.cid}/backup`, { targets })).rejects.toThrow();
    expect(await count()).toBe(before + 1);

    const audit = (await world.api('GET', `/rest-audit?after=${since}&userName=MCUser`)).body.content;
    const record = audit.find(({ apiUrl }: Json) => apiUrl === `/api/v1/clients/${world.cid}/backup`);
    expect(record).toMatchObject({
      apiHttpMethod: 'POST',
      responseStatusCode: 200,
      oauth2ClientId: 'tester',
      result: true,
    });
    expect(record.requestData.body).toEqual({ targets });
    expect((await world.ended(record.responseBody[0])).state).toBe('SUCCESS');
  });

  test('the audit keeps no secrets', async () => {
    await logIn(world.avamarUrl(), { ...REGISTRATION, clientId: 'another' });
    const audit = JSON.stringify((await world.api('GET', '/rest-audit?size=1000')).body);
    expect(audit).toContain('another');
    expect(audit).not.toContain('"clientSecret":"secret"');
  });

  test('a retired client keeps its backups, leaves its groups and is backed up no more', async () => {
    const moref = await world.deploy('old', 'old-1');
    await world.addClients([`VirtualMachine:${moref}`]);
    const cid = await world.clientOf(moref);
    await world.backUp(cid);
    expect((await world.api('POST', `/clients/${cid}/retire`, { forceRetire: true })).status).toBe(200);
    expect((await world.api('GET', `/clients/${cid}`)).body).toMatchObject({
      domainFqdn: '/MC_RETIRED',
      restoreOnly: true,
    });
    expect(await listed(cid)).toHaveLength(1);
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    expect((await world.api('POST', `/clients/${cid}/backup`, { targets })).status).toBe(400);
    expect(await world.clientOf(moref)).toBe('');
  });

  test('a page says how many there are, and filters, sorts and fields shape it', async () => {
    for (const id of ['p1', 'p2', 'p3']) {
      await world.addClients([`VirtualMachine:${await world.deploy(id, `page-${id}`)}`]);
    }
    const where = 'domain=/&recursive=true&filter=name==page-*&sort=name,desc';
    const first = (await world.api('GET', `/clients?${where}&size=2&fields=id,name`)).body;
    expect(first).toMatchObject({
      totalElements: 3,
      totalPages: 2,
      number: 0,
      first: true,
      last: false,
      numberOfElements: 2,
    });
    expect(first.content[0].name).toMatch(/^page-p3_/);
    expect(Object.keys(first.content[0]).toSorted()).toEqual(['id', 'name']);
    const second = (await world.api('GET', `/clients?${where}&size=2&page=1`)).body;
    expect(second).toMatchObject({ last: true, numberOfElements: 1 });
    const quoted = await world.api(
      'GET',
      `/clients?recursive=true&filter=name=='${second.content[0].name}'&filter=enabled!=false`,
    );
    expect(quoted.body.totalElements).toBe(1);
    expect((await world.api('GET', '/clients?filter=nonsense')).status).toBe(400);
  });

  test('errors have the vendor’s shape', async () => {
    const answer = await world.api('GET', '/clients/none');
    expect(answer.status).toBe(404);
    expect(Object.keys(answer.body)).toEqual(['code', 'exception', 'message', 'details', 'event']);
  });

  test('says who it is, without a token too', async () => {
    const about = await request('GET', `${world.avamarUrl()}/api/v1/system/about-information`);
    const status = await world.api('GET', '/system/status');
    expect(about.status).toBe(200);
    expect(status.body.systemId).toBe(about.body.systemId);
    expect((await world.api('GET', '/system/basic-info')).body.version).toMatch(/^19\./);
  });

  test('a vCenter that does not answer is said so', async () => {
    await request('POST', `${world.hypervisorUrl}/_simulator/faults`, {
      path: '^/vms',
      when: 'before',
      times: 1,
      action: { drop: true },
    });
    const answer = await world.api('GET', `/virtualcenters/${world.vcCid}/entities`);
    expect(answer.status).toBe(503);
    expect(answer.body.message).toContain('does not answer');
  });
});
