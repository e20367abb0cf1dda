/** Operations on VMs whose policy is served by a backup group of the administrator. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { PolicyConfiguration } from '../../../domain/policies.ts';
import { DAILY, startWorld, type World } from './world.ts';

const LEAVING: PolicyConfiguration = { ...DAILY, time: { mode: 'dont_apply' } };

let world: World;
let [gold, silver, fixed]: [string, string, string] = ['', '', ''];
let [goldGroup, silverGroup]: [string, string] = ['', ''];
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD', [LEAVING]);
  silver = await world.newPolicy('SILVER', [LEAVING]);
  fixed = await world.newPolicy('FIXED', [DAILY]);
  goldGroup = await standing('GOLD');
  silverGroup = await standing('SILVER');
});
afterEach(() => world.mendAvamar());
afterAll(() => world.stop());

async function standing(name: string): Promise<string> {
  const parts = { datasetId: 'VMWARE:SNAPID', scheduleId: 'Default:SCHEDULEID', retentionId: 'Default:POLICYID' };
  const body = { name, domainFqdn: '/', enabled: true, encryption: 'HIGH', ...parts };
  return (await world.avamar('POST', '/groups/backup-groups', body)).id;
}

/** Names of the groups that the machine of that name is in, of those that somebody has made. */
async function joinedBy(name: string): Promise<string[]> {
  const isIn = async (id: string): Promise<boolean> =>
    (await world.avamar('GET', `/groups/${id}/members?size=500`)).content.some((member: { name: string }) =>
      member.name.startsWith(`${name}_`),
    );
  const found = [(await isIn(goldGroup)) ? 'GOLD' : '', (await isIn(silverGroup)) ? 'SILVER' : ''];
  return found.filter((one) => one !== '');
}

/** No group of a VM alone can be made any more. */
const refuseGroups = () =>
  world.breakAvamar({
    method: 'POST',
    path: '/backup-groups$',
    when: 'before',
    action: { status: 400, body: { code: 1, message: 'no more groups' } },
  });

const reconfigured = async (vmId: string, policyIds: readonly string[]) => {
  const backupPolicies = policyIds.map((policyId) => ({ policyId, configurations: [] }));
  const hardware = { cpu: 2, memoryMiB: 2048, disks: (await world.vm(vmId)).disks };
  const body = { hardware, backupPolicies };
  const { operationId } = await world.requests.reconfigure({ ...world.request(vmId), body });
  return world.ended(operationId);
};

test('a VM joins with its deploy, moves with its policy, and is out with its undeploy', async () => {
  const vmId = await world.deployed('joins', [gold]);
  expect([await joinedBy('joins'), await world.groups(vmId)]).toEqual([['GOLD'], []]);
  expect((await reconfigured(vmId, [silver, fixed])).state).toBe('SUCCEEDED');
  expect([await joinedBy('joins'), await world.groups(vmId)]).toEqual([['SILVER'], [`holdfast-${vmId}-FIXED-daily`]]);
  const { operationId } = await world.requests.undeploy(world.request(vmId));
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect([await joinedBy('joins'), await world.groups(vmId)]).toEqual([[], []]);
});

test('a deploy that is rolled back leaves the groups that it had joined before it failed', async () => {
  const vmId = await world.newVm('rolled-back', [gold, silver, fixed]);
  await refuseGroups();
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect(await world.ended(operationId)).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'BACKUP_SYSTEM_REFUSED' },
  });
  expect([await joinedBy('rolled-back'), await world.residue(operationId)]).toEqual([[], []]);
});

test('a reconfigure that is rolled back puts the VM back where it was, and out of where it was put', async () => {
  const vmId = await world.deployed('put-back', [gold]);
  await refuseGroups();
  expect(await reconfigured(vmId, [silver, fixed])).toMatchObject({ state: 'ROLLED_BACK' });
  expect(await joinedBy('put-back')).toEqual(['GOLD']);
  await world.mendAvamar();
  expect((await reconfigured(vmId, [silver])).state).toBe('SUCCEEDED');
  expect(await joinedBy('put-back')).toEqual(['SILVER']);
});

test('an attempt that does not learn whether it has joined is followed by one that does', async () => {
  const vmId = await world.newVm('unheard', [gold]);
  await world.breakAvamar({ method: 'POST', path: '/groups/add$', when: 'after', times: 1, action: { drop: true } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await joinedBy('unheard')).toEqual(['GOLD']);
  const undeploy = await world.requests.undeploy(world.request(vmId));
  expect((await world.ended(undeploy.operationId)).state).toBe('SUCCEEDED');
  expect(await joinedBy('unheard')).toEqual([]);
});
