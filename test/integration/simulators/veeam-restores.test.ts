import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from './simulated-world.ts';
import { type VeeamWorld, linked, startVeeamWorld, xmlBody } from './veeam-simulated-world.ts';

const DAY = 86_400;

let world: VeeamWorld;
let point: string;
beforeEach(async () => {
  world = await startVeeamWorld();
  await world.write('a1', 'as it was');
  await world.run(await world.makeJob('nightly'));
  await world.write('a1', 'spoilt');
  const [listed] = await world.entities('VmRestorePoint');
  point = listed['@UID'].replace('urn:veeam:VmRestorePoint:', '');
});
afterEach(() => world.close());

const machines = async (): Promise<any[]> => (await world.vcenter('GET', '/vms')).body.vms;
const content = async (moref: string): Promise<string> =>
  (await world.vcenter('GET', `/morefs/${moref}/contents`)).body.disks.system;
const restore = async (spec?: string) => {
  const body = spec === undefined ? undefined : xmlBody('RestoreSpec', `<VmRestoreSpec>${spec}</VmRestoreSpec>`);
  const task = await world.ok('POST', `/vmRestorePoints/${point}?action=restore`, body);
  expect(task.Operation).toBe('StartVMRestore');
  return world.ended(linked(task, 'RestoreSession'));
};
const restoredMoref = (session: any): string => session.RestoredObjRef.split('.').at(-1);

test('a machine that is there is removed and comes back as another one, switched off, with its annotation', async () => {
  await world.vcenter('PUT', '/vms/a1/power', { state: 'ON' });
  const session = await restore('<PowerOnAfterRestore>false</PowerOnAfterRestore><QuickRollback>false</QuickRollback>');
  expect([session.JobType, session.State, session.Result, session['@VmDisplayName']]).toEqual([
    'RestoreVm',
    'Stopped',
    'Success',
    'web-1',
  ]);
  const all = await machines();
  expect(all).toHaveLength(1);
  expect(all[0]).toMatchObject({ id: null, name: 'web-1', power: 'OFF', annotation: 'mark of web-1' });
  expect(all[0].moref).not.toBe(world.moref);
  expect(restoredMoref(session)).toBe(all[0].moref);
  expect(await content(all[0].moref)).toBe('as it was');
});

test('a quick rollback puts the disks back in place', async () => {
  const session = await restore('<PowerOnAfterRestore>true</PowerOnAfterRestore><QuickRollback>true</QuickRollback>');
  expect(restoredMoref(session)).toBe(world.moref);
  expect(await content(world.moref)).toBe('as it was');
  expect((await machines())[0]).toMatchObject({ id: 'a1', power: 'ON' });
});

test('a machine that is gone is registered anew, beside one that took its name', async () => {
  await world.vcenter('DELETE', '/vms/a1');
  const other = await world.deploy('a2', 'web-1');
  const session = await restore();
  expect((await machines()).map(({ moref, name }) => [moref, name])).toEqual([
    [other, 'web-1'],
    [restoredMoref(session), 'web-1_restored'],
  ]);
});

test('the original can be kept', async () => {
  const session = await restore('<KeepOriginalVM>true</KeepOriginalVM>');
  expect((await machines()).map(({ moref }) => moref)).toEqual([world.moref, restoredMoref(session)]);
  expect(await content(world.moref)).toBe('spoilt');
});

test('a restore is Starting, Working, then Stopped; what was there is removed early, so a failure may lose it', async () => {
  await world.control('POST', '/settings', { restoreSeconds: 3600 });
  await world.control('POST', '/outcomes', {
    kind: 'restore',
    result: 'Failed',
    reason: 'no space',
    originalRemoved: true,
  });
  const task = await world.ok('POST', `/vmRestorePoints/${point}?action=restore`);
  const path = linked(task, 'RestoreSession');
  const starting = (await world.api('GET', path)).xml;
  expect([starting.State, starting.Result, starting.EndTimeUTC]).toEqual(['Starting', 'None', undefined]);
  await world.pass(60);
  await until(machines, (all) => all.length === 0);
  expect((await world.api('GET', path)).xml.State).toBe('Working');
  await world.pass(3600);
  expect((await world.ended(path)).Result).toBe('Failed');
});

test('a failure leaves the machine as it is otherwise', async () => {
  await world.control('POST', '/outcomes', { kind: 'restore', result: 'Failed', times: 1 });
  const session = await restore();
  expect([session.Result, session.RestoredObjRef]).toEqual(['Failed', undefined]);
  expect((await machines())[0]).toMatchObject({ moref: world.moref });
});

test('a server that dies in the middle of a restore makes one machine', async () => {
  await world.control('POST', '/settings', { restoreSeconds: 3600 });
  const task = await world.ok('POST', `/vmRestorePoints/${point}?action=restore`);
  await world.pass(60);
  await until(machines, (all) => all.length === 0);
  await world.restartVeeam();
  await world.pass(3600);
  await world.ended(linked(task, 'RestoreSession'));
  expect(await machines()).toHaveLength(1);
});

test('an older release does not tell what it restored, nor from which point', async () => {
  await world.control('POST', '/settings', { restoredObjRef: false, restoreSessionPoint: false });
  const session = await restore();
  expect(session.RestoredObjRef).toBeUndefined();
  expect(session.Links.Link.some((one: any) => one['@Rel'] === 'Related')).toBe(false);
});

test('restore sessions are told about for 30 days', async () => {
  await restore();
  await world.pass(29 * DAY);
  expect(await world.entities('RestoreSession', '&filter=VmDisplayName==web-1')).toHaveLength(1);
  await world.pass(2 * DAY);
  expect(await world.entities('RestoreSession')).toEqual([]);
  expect((await world.api('GET', '/restoreSessions')).xml.Ref ?? []).toEqual([]);
});

test('a point that is being restored outlives its retention', async () => {
  const job = await world.jobId('nightly');
  const retention = '<SimpleRetentionPolicy><RetainCycles>1</RetainCycles></SimpleRetentionPolicy>';
  await world.edit(job, `<JobInfo><BackupJobInfo>${retention}</BackupJobInfo></JobInfo>`);
  await world.control('POST', '/settings', { restoreSeconds: 3600 });
  const body = xmlBody('RestoreSpec', '<VmRestoreSpec><KeepOriginalVM>true</KeepOriginalVM></VmRestoreSpec>');
  await world.ok('POST', `/vmRestorePoints/${point}?action=restore`, body);
  await world.run(job);
  expect(await world.entities('VmRestorePoint')).toHaveLength(2);
  await world.pass(3600);
  await until(machines, (all) => all.length === 2);
  await world.run(job);
  expect(await world.entities('VmRestorePoint')).toHaveLength(1);
});

test('a restore of a point that is not there, not complete or of an unknown kind is refused', async () => {
  const missing = '00000000-0000-0000-0000-000000000000';
  expect((await world.api('POST', `/vmRestorePoints/${missing}?action=restore`)).status).toBe(404);
  const spec = xmlBody('RestoreSpec', '<VmRestoreSpec><QuickRollback>true</QuickRollback><Sideways /></VmRestoreSpec>');
  expect((await world.api('POST', `/vmRestorePoints/${point}?action=restore`, spec)).status).toBe(400);
  await world.control('POST', '/settings', { backupSeconds: 3600 });
  await world.ok('POST', `/jobs/${await world.jobId('nightly')}?action=start`);
  await world.pass(60);
  const unready = (await world.entities('VmRestorePoint', '&sortDesc=CreationTime'))[0];
  const path = `/vmRestorePoints/${unready['@UID'].replace('urn:veeam:VmRestorePoint:', '')}`;
  expect((await world.api('POST', `${path}?action=restore`)).status).toBe(400);
});
