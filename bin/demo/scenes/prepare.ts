/**
 * Scene 1: what the inventory names is made where it is missing, and virtual machines of an earlier run are undeployed.
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import { DateTime } from 'luxon';
import { z } from 'zod';
import { refusalOf } from '../api-client.ts';
import {
  type Datacenter,
  Datacenter as DatacenterDocument,
  Enterprise,
  type Manager,
  Manager as ManagerDocument,
  type Policy,
  Policy as PolicyDocument,
  VirtualMachine,
} from '../documents.ts';
import type { PlannedDatacenter, PlannedPolicy, PlannedVm } from '../inventory.ts';
import { succeeded, unlocked } from '../operations.ts';
import { type Actor, actors, type Cast, type Story, StoryEnds, type Tenant, until } from '../story.ts';
import { newTokens } from '../tokens.ts';

/** The Avamar server that backups are copied to. */
const SECOND_SERVER = 'avamar-lisbon';

type Rows = string[][];

/** Makes or finds everything that the inventory names. */
export async function prepare(story: Story): Promise<Cast> {
  const { screen, inventory } = story;
  screen.scene(
    1,
    'What there is',
    'The cloud administrator makes what the inventory names; what is there is used again.',
  );
  const rows: Rows = [];

  const tenants: Tenant[] = [];
  for (const name of inventory.enterprises) tenants.push(await theTenant(story, name, rows));
  const { name: destination, made } = await story.avamar.copiesTo(SECOND_SERVER, `${SECOND_SERVER}.simulated`);
  rows.push(['second server', destination, 'registered in Avamar, to copy backups to', made]);

  const managers: Manager[] = [];
  const machines: Actor[] = [];
  for (const planned of inventory.datacenters) {
    const datacenter = await theDatacenter(story, planned, rows);
    const manager = await theManager(story, planned, datacenter, rows);
    managers.push(manager);
    const policies: Policy[] = [];
    for (const policy of planned.policies) policies.push(await thePolicy(story, datacenter, manager, policy, rows));
    for (const plan of planned.virtualMachines) {
      machines.push(await theActor(story, { datacenter, tenants, policies, plan }, rows));
    }
  }
  const [first, second, third, fourth, fifth, sixth] = machines as [Actor, Actor, Actor, Actor, Actor, Actor];
  const cast: Cast = {
    tenants: tenants as [Tenant, Tenant],
    managers,
    restored: first,
    expiring: second,
    refused: third,
    scheduled: fourth,
    onVeeam: { restored: fifth, expiring: sixth },
  };
  screen.table(rows);
  await backToTheStart(story, cast);
  for (const actor of actors(cast)) await saveDraft(actor, new Date());
  return cast;
}

async function theDatacenter(
  { admin, hypervisor }: Story,
  { name, timeZone }: PlannedDatacenter,
  rows: Rows,
): Promise<Datacenter> {
  const find = async () => (await admin.list('/v1/datacenters', DatacenterDocument)).find((one) => one.name === name);
  const json = { name, timeZone, hypervisor: { type: 'simulated', endpoint: hypervisor.url } };
  const { thing, made } = await findOrMake(find, () => admin.post('/v1/datacenters', json, DatacenterDocument));
  if (thing.hypervisor.endpoint !== hypervisor.url) {
    throw new StoryEnds({
      what: `The datacenter ${name} uses the hypervisor ${thing.hypervisor.endpoint}, and the simulator is on ${hypervisor.url}`,
      look: 'start npm start with the port of before, or begin anew with npm run reset',
    });
  }
  rows.push(['datacenter', name, thing.timeZone, made]);
  return thing;
}

async function theManager(
  { admin, avamar, veeam }: Story,
  { backupManager: { name, type } }: PlannedDatacenter,
  datacenter: Datacenter,
  rows: Rows,
): Promise<Manager> {
  const { endpoint, credentials } = type === 'veeam' ? veeam : avamar;
  const path = `/v1/datacenters/${datacenter.id}/backup-managers`;
  const find = async () => (await admin.list(path, ManagerDocument)).find((one) => one.name === name);
  const connection = { name, endpoint, credentials };
  const { thing, made } = await findOrMake(find, () => admin.post(path, { type, ...connection }, ManagerDocument));
  if (thing.endpoint !== endpoint) await admin.put(`/v1/backup-managers/${thing.id}`, connection, ManagerDocument);
  rows.push(['backup manager', name, `${thing.type}, ${endpoint}`, made]);
  return thing;
}

async function thePolicy(
  { admin, screen }: Story,
  datacenter: Datacenter,
  manager: Manager,
  planned: PlannedPolicy,
  rows: Rows,
): Promise<Policy> {
  const { code, name, subtype, time, days, retentionDays, replication } = planned;
  const json = {
    managerId: manager.id,
    code,
    name,
    retentionDays,
    replication,
    timeZone: datacenter.timeZone,
    configurations: [
      {
        type: 'COMPLETE',
        subtype,
        time: time === 'define_in_vm' ? { mode: time } : { mode: 'fixed', value: time },
        days: days === undefined ? { mode: 'dont_apply' } : { mode: 'fixed', value: days },
        disks: { mode: 'dont_apply' },
      },
    ],
  };
  const when = time === 'define_in_vm' ? 'a time of the machine’s own' : time;
  const path = `/v1/datacenters/${datacenter.id}/backup-policies`;
  const find = async () => (await admin.list(path, PolicyDocument)).find((one) => one.code === code);
  const { thing, made } = await findOrMake(find, () => admin.post(path, json, PolicyDocument));
  rows.push([
    'backup policy',
    code,
    `${subtype} at ${when}${days === undefined ? '' : ` on ${days.join(', ')}`}`,
    made,
  ]);
  if (isDeepStrictEqual(thing, { ...thing, ...json })) return thing;
  rows.pop();

  let changed: Policy = thing;
  const refusal = await refusalOf(
    admin.put(`/v1/backup-policies/${thing.id}`, json, PolicyDocument).then((policy) => {
      changed = policy;
    }),
  );
  if (refusal !== undefined) {
    screen.aside(`${code} stays as it was made: ${refusal.problem.detail} (give it another code, or npm run reset)`);
  }
  const as = refusal === undefined ? `${subtype} at ${when}` : 'as it was made, not as the inventory says';
  rows.push(['backup policy', code, as, made]);
  return changed;
}

async function theTenant(story: Story, name: string, rows: Rows): Promise<Tenant> {
  const { admin } = story;
  const find = async () => (await admin.list('/v1/enterprises', Enterprise)).find((one) => one.name === name);
  const { thing, made } = await findOrMake(find, () => admin.post('/v1/enterprises', { name }, Enterprise));
  rows.push(['enterprise', name, 'tokens for its administrator and a user', made]);
  return { id: thing.id, name, ...(await newTokens(story, thing.id)) };
}

/** What a virtual machine is made of. */
interface Parts {
  readonly datacenter: Datacenter;
  readonly tenants: readonly Tenant[];
  readonly policies: readonly Policy[];
  readonly plan: PlannedVm;
}

async function theActor(story: Story, { datacenter, tenants, policies, plan }: Parts, rows: Rows): Promise<Actor> {
  const tenant = tenants.find(({ name }) => name === plan.enterprise);
  const policy = policies.find(({ code }) => code === plan.policy);
  if (tenant === undefined || policy === undefined)
    throw new Error(`the inventory was checked, yet ${plan.name} misses something`);
  await story.admin.put(`/v1/enterprises/${tenant.id}/backup-policies/${policy.id}`, undefined, z.null());
  const find = () => existingVm(story, tenant, plan.name);
  const json = { name: plan.name, datacenterId: datacenter.id, ...draft(policy, plan, new Date()) };
  const make = () => tenant.administrator.post('/v1/virtual-machines', json, VirtualMachine);
  const { thing: vm, made } = await findOrMake(find, make);
  if (vm.datacenterId !== datacenter.id) {
    throw new StoryEnds({
      what: `${vm.name} is in another datacenter than ${datacenter.name}`,
      look: 'npm run reset',
    });
  }
  rows.push([
    'virtual machine',
    vm.name,
    `${tenant.name}, policy ${policy.code}`,
    made === 'made' ? made : `was there, ${vm.state}`,
  ]);
  return { id: vm.id, name: vm.name, tenant, policy, plan };
}

/** Somebody, or this demo by a request whose answer was lost, may have made it meanwhile: then it is found. */
async function findOrMake<T>(
  find: () => Promise<T | undefined>,
  make: () => Promise<T>,
): Promise<{ thing: T; made: 'made' | 'was there' }> {
  const known = await find();
  if (known !== undefined) return { thing: known, made: 'was there' };
  let made: T | undefined;
  const refusal = await refusalOf(
    make().then((thing) => {
      made = thing;
    }),
  );
  if (refusal !== undefined && refusal.status !== 409) throw refusal;
  const thing = made ?? (await find());
  if (thing === undefined) throw refusal ?? new Error('what was made cannot be found');
  return { thing, made: 'made' };
}

async function existingVm({ platform }: Story, tenant: Tenant, name: string): Promise<VirtualMachine | undefined> {
  const path = `/v1/virtual-machines?name=${name}&enterpriseId=${tenant.id}`;
  return (await platform.list(path, VirtualMachine))[0];
}

/** What an earlier run left is undeployed, so that every run of the story begins alike. */
async function backToTheStart(story: Story, cast: Cast): Promise<void> {
  // Runs that a demo left behind, and that Holdfast may not have seen yet, would be in the way of the undeploys.
  const look = story.veeam.endpoint;
  await until(story, { text: 'waiting until the Veeam server is at rest', seconds: 120, look }, async () =>
    (await story.veeam.isWorking()) ? undefined : true,
  );
  const left: Actor[] = [];
  for (const actor of actors(cast)) {
    if ((await unlocked(story, actor)).state !== 'NOT_ALLOCATED') left.push(actor);
  }
  if (left.length === 0) return;
  story.screen.line(`${left.map(({ name }) => name).join(', ')}: deployed by an earlier run, undeployed to begin anew`);
  await succeeded(
    story,
    await Promise.all(left.map(({ id }) => story.platform.begin(`/v1/virtual-machines/${id}/undeploy`))),
  );
}

/**
 * Hardware and chosen policy of a VM. Where the policy leaves the time to the VM, it is the full minute that is one to
 * two minutes away, in the policy's zone, so that the backup system's own schedule runs while the demo is watched.
 */
function draft(policy: Policy, { cpu, memoryMiB, disks }: PlannedVm, now: Date) {
  const choices = policy.configurations.filter(({ time }) => isDeepStrictEqual(time, { mode: 'define_in_vm' }));
  const configurations = choices.map(({ type, subtype }) => ({ type, subtype, time: soon(policy.timeZone, now) }));
  return { cpu, memoryMiB, disks, backupPolicies: [{ policyId: policy.id, configurations }] };
}

function soon(timeZone: string, now: Date): string {
  return DateTime.fromJSDate(now, { zone: timeZone }).plus({ minutes: 2 }).toFormat('HH:mm');
}

/**
 * Makes the VM, which must not be allocated, what the inventory says now.
 * @param now by the backup system's clock, from which the time of its backups is chosen.
 * @returns the time that it chose for its backups; `undefined` where its policy decides.
 */
export async function saveDraft({ id, tenant, policy, plan }: Actor, now: Date): Promise<string | undefined> {
  const wanted = draft(policy, plan, now);
  const current = await tenant.administrator.get(`/v1/virtual-machines/${id}`, VirtualMachine);
  if (!isDeepStrictEqual(current, { ...current, ...wanted })) {
    await tenant.administrator.put(`/v1/virtual-machines/${id}`, wanted, VirtualMachine);
  }
  return wanted.backupPolicies[0]?.configurations[0]?.time;
}
