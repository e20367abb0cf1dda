/** What a kind of backup system cannot do is refused when it is asked for, with the field named. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi, vmBody } from './test-api.ts';

let api: TestApi;
let datacenter: { id: string };
let manager: { id: string };
beforeAll(async () => {
  api = await startTestApi();
  datacenter = await api.newDatacenter();
  manager = await api.newManager(datacenter.id, { type: 'veeam' });
});
afterAll(() => api.stop());

const DAILY = { type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } };

test('the limits of each kind can be read', async () => {
  const { backupSystems } = await api.expectStatus(200, api.tokens.admin, 'GET', '/v1/plugin-types');
  const veeam = backupSystems.find(({ type }: { type: string }) => type === 'veeam');
  expect(veeam).toMatchObject({
    operations: { onDemandBackup: false, replication: false, cancel: true },
    constraints: {
      subtypes: ['HOURLY', 'DAILY', 'WEEKLY_PLANNED', 'MONTHLY'],
      diskSelection: false,
      maxPoliciesPerVm: 1,
      maxBackupsPerPolicy: 1,
      restoreNeedsPowerOff: true,
      restoresAsNewMachine: true,
    },
  });
});

test.each([
  ['once, at a date', { configurations: [{ type: 'COMPLETE', subtype: 'DEFINED_HOUR' }] }, '/configurations/0/subtype'],
  [
    'of chosen disks',
    { configurations: [{ ...DAILY, disks: { mode: 'fixed', value: ['data'] } }] },
    '/configurations/0/disks',
  ],
  ['with replication', { replication: true }, '/replication'],
  ['every 0 hours', { configurations: [hourly('0')] }, '/configurations/0/time'],
  ['every 24 hours', { configurations: [hourly('24')] }, '/configurations/0/time'],
  ['of two configurations', { configurations: [DAILY, hourly('6')] }, '/configurations/1'],
])('a policy %s is refused', async (_, more, pointer) => {
  const body = { managerId: manager.id, code: api.unique('V'), name: 'V', configurations: [DAILY], ...more };
  const path = `/v1/datacenters/${datacenter.id}/backup-policies`;
  const answer = await api.send(api.tokens.admin, 'POST', path, { body });
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toMatchObject([{ pointer }]);
});

function hourly(value: string) {
  return { type: 'COMPLETE', subtype: 'HOURLY', time: { mode: 'fixed', value } };
}

test('a virtual machine has one policy of such a manager, and others of other managers', async () => {
  const acme = await api.newEnterprise();
  const allowed = async (managerId: string): Promise<{ policyId: string }> => {
    const { id } = await api.newPolicy(datacenter.id, managerId);
    await api.allow(acme.id, id);
    return { policyId: id };
  };
  const other = await api.newManager(datacenter.id);
  const [gold, silver, bronze] = [await allowed(manager.id), await allowed(manager.id), await allowed(other.id)];
  const save = (backupPolicies: unknown[]) =>
    api.send(acme.admin, 'POST', '/v1/virtual-machines', {
      body: vmBody(datacenter.id, api.unique('vm'), { backupPolicies }),
    });
  const refused = await save([gold, bronze, silver]);
  expect([refused.status, refused.body.code, refused.body.legacyCode]).toEqual([
    422,
    'BACKUP_MULTIPLE_POLICIES_DISABLED',
    'BC-27',
  ]);
  expect(refused.body.errors).toMatchObject([{ pointer: '/backupPolicies/2/policyId' }]);
  expect((await save([gold, bronze])).status).toBe(201);
});

test('a backup on demand is refused where there is none', async () => {
  const acme = await api.newEnterprise();
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(acme.id, policy.id);
  const vm = await api.newVm(acme.admin, datacenter.id, { backupPolicies: [{ policyId: policy.id }] });
  await api.setState(vm.id, 'ON');
  const answer = await api.send(acme.admin, 'POST', `/v1/virtual-machines/${vm.id}/backup`);
  expect([answer.status, answer.body.code, answer.body.legacyCode]).toEqual([
    409,
    'BACKUP_ONDEMAND_NOT_SUPPORTED',
    'BC-46',
  ]);
});
