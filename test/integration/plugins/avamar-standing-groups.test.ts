/** Groups that an administrator has made, and VMs that join them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem } from '../../../activities/backup-systems/backup-system.ts';
import { backupOf, openContext, scheduleOf } from '../../conformance/port-calls.ts';
import { fixed, groupsAtConsole, leaving, newCode, PARTS, type SeenGroup, together } from './avamar-groups.ts';
import { type AvamarWorld, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
let console: ReturnType<typeof groupsAtConsole>;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
  console = groupsAtConsole(world);
});
afterAll(() => world.close());

describe('a policy that leaves everything to Avamar', () => {
  test('is served by the group of its code, which stays as it is', async () => {
    const code = newCode();
    const group = await console.standing(code);
    const others = await Promise.all(['other-1', 'other-2'].map((name) => world.deploy(name)));
    for (const other of others) await console.putInto(await avamar.vmReference(context, other), group);
    const before = (await console.groupNow(group)) as { memberCount: number };
    const vm = await world.deploy('joining');
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);

    expect(await console.ownOf(vm)).toEqual([]);
    expect(await console.membersOf(group)).toHaveLength(3);
    expect(await console.membersOf(group)).toContain(ref.vmRef);
    expect(await console.groupNow(group)).toEqual({ ...before, memberCount: before.memberCount + 1 });
    expect(ref.policies).toEqual({ [group.id]: 'p1' });
    const again = openContext();
    expect(await avamar.applySchedule(again, vm, leaving(code), ref)).toEqual(ref);
    expect(again.writes).toBe(0);

    await avamar.removeSchedule(context, vm, ref);
    expect(await console.groupNow(group)).toEqual(before);
    expect(await console.membersOf(group)).not.toContain(ref.vmRef);
    const gone = openContext();
    await avamar.removeSchedule(gone, vm, ref);
    expect(gone.writes).toBe(0);
  });

  test('gets groups of its own where none has its code, or only the name of another VM’s', async () => {
    const vm = await world.deploy('alone');
    const ref = await avamar.applySchedule(context, vm, leaving(newCode()), undefined);
    expect(await console.ownOf(vm)).toEqual(['groups', 'groups', 'schedules', 'schedules', 'retentions', 'retentions']);
    expect(Object.values(ref.policies ?? {})).toEqual(['p1', 'p1']);

    const made = (await world.inventory()).groups.find(({ name }) => name.includes(vm.id)) as SeenGroup;
    const thief = await world.deploy('thief');
    await avamar.applySchedule(context, thief, leaving(made.name), undefined);
    expect(await console.membersOf(made)).toEqual([ref.vmRef]);
  });

  test('stands beside one that fixes a value, which gets groups of its own', async () => {
    const [code, other] = [newCode(), newCode()];
    const [group, unused] = [await console.standing(code), await console.standing(other)];
    const vm = await world.deploy('both');
    const ref = await avamar.applySchedule(context, vm, together(leaving(code), fixed(other)), undefined);
    expect(await console.membersOf(group)).toEqual([ref.vmRef]);
    expect(await console.membersOf(unused)).toEqual([]);
    const own = (await world.inventory()).groups.find(({ name }) => name.includes(vm.id));
    expect(ref.policies).toEqual({ [group.id]: 'p1', [own?.id ?? '']: 'p2' });
  });

  test('of which two join at the same moment keeps both', async () => {
    const code = newCode();
    const group = await console.standing(code);
    const vms = await Promise.all(['at-once-1', 'at-once-2', 'at-once-3'].map((name) => world.deploy(name)));
    const refs = await Promise.all(vms.map((vm) => avamar.applySchedule(context, vm, leaving(code), undefined)));
    expect((await console.membersOf(group)).toSorted()).toEqual(refs.map(({ vmRef }) => vmRef).toSorted());
  });

  test.each(['days', 'disks'] as const)('does not leave everything when it fixes the %s', async (field) => {
    const code = newCode();
    const group = await console.standing(code);
    const vm = await world.deploy(`fixed-${field}`);
    const values = { days: ['MONDAY'], disks: ['Hard disk 1'] } as const;
    const backup = backupOf('WEEKLY_PLANNED', { [field]: values[field] });
    await avamar.applySchedule(context, vm, scheduleOf(code, [backup]), undefined);
    expect(await console.membersOf(group)).toEqual([]);
    expect(await console.ownOf(vm)).toContain('groups');
  });
});

describe('a group that cannot be joined', () => {
  async function refusal(code: string): Promise<string> {
    const attempt = openContext();
    const vm = await world.deploy('refused');
    const failure = await avamar.applySchedule(attempt, vm, leaving(code), undefined).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'REFUSED' });
    expect(attempt.writes).toBe(0);
    return (failure as Error).message;
  }
  const checked = async (code: string) => (await avamar.check(context, [code])).policies;

  test('because several have the code is refused before anything is written, and by the check', async () => {
    const code = newCode();
    await console.standing(code, { domainFqdn: '/tenants' });
    await console.standing(code, { domainFqdn: '/clients' });
    const words = `several groups are called ${code} (/clients/${code}, /tenants/${code})`;
    expect(await refusal(code)).toContain(words);
    expect(await checked(code)).toEqual([{ code, ok: false, message: expect.stringContaining(words) }]);
  });

  test('because it is switched off is refused for a VM that is new, and stays off for one that is in it', async () => {
    const code = newCode();
    const group = await console.standing(code);
    const vm = await world.deploy('member');
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    await world.atConsole('PUT', `/groups/backup-groups/${group.id}/toggle`);
    expect(await refusal(code)).toContain(`the group /${code} is switched off`);
    expect(await checked(code)).toEqual([{ code, ok: false, message: expect.stringContaining('switched off') }]);

    expect(await avamar.applySchedule(context, vm, leaving(code), ref)).toEqual(ref);
    expect(await console.groupNow(group)).toMatchObject({ enabled: false });
  });

  test('of which there is none counts for nothing, and the check says how each policy is served', async () => {
    const [code, none] = [newCode(), newCode()];
    await console.standing(code, { domainFqdn: '/tenants' });
    expect((await avamar.check(context, [code, none])).policies).toEqual([
      { code, ok: true, message: expect.stringContaining(`join the group /tenants/${code}`) },
      { code: none, ok: true, message: 'its virtual machines get groups of their own' },
    ]);
  });
});

describe('what somebody has done at the console', () => {
  test('a membership that was there before is left there, and one in another group too', async () => {
    const [code, other] = [newCode(), newCode()];
    const [group, foreign] = [await console.standing(code), await console.standing(other)];
    const vm = await world.deploy('was-in');
    const cid = await avamar.vmReference(context, vm);
    await console.putInto(cid, group);
    await console.putInto(cid, foreign);
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    const again = await avamar.applySchedule(context, vm, leaving(code), ref);
    await avamar.removeSchedule(context, vm, again);
    await avamar.removeSchedule(context, vm, undefined);
    expect([await console.membersOf(group), await console.membersOf(foreign)]).toEqual([[cid], [cid]]);
  });

  test('a VM that was taken out of its group is put back, and then the plugin’s to take out', async () => {
    const code = newCode();
    const group = await console.standing(code);
    const vm = await world.deploy('taken-out');
    const cid = await avamar.vmReference(context, vm);
    await console.putInto(cid, group);
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    await world.atConsole('POST', `/clients/${cid}/groups/remove`, [group.id]);
    const again = await avamar.applySchedule(context, vm, leaving(code), ref);
    expect(await console.membersOf(group)).toEqual([cid]);
    await avamar.removeSchedule(context, vm, again);
    expect(await console.membersOf(group)).toEqual([]);
  });

  test('a group that was renamed keeps its VMs; a new one gets groups of its own', async () => {
    const code = newCode();
    const group = await console.standing(code);
    const vm = await world.deploy('stays');
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    const renamed = { name: `${code} of old`, domainFqdn: '/', enabled: true, ...PARTS };
    await world.atConsole('PUT', `/groups/backup-groups/${group.id}`, renamed);
    expect(await avamar.applySchedule(context, vm, leaving(code), ref)).toEqual(ref);
    expect(await console.ownOf(vm)).toEqual([]);

    const late = await world.deploy('late');
    await avamar.applySchedule(context, late, leaving(code), undefined);
    expect(await console.ownOf(late)).toContain('groups');
    await avamar.removeSchedule(context, vm, ref);
    expect(await console.membersOf(group)).toEqual([]);
  });

  test('a group that was deleted leaves its VMs with groups of their own, and their removal succeeds', async () => {
    const code = newCode();
    const [group, vm, gone] = [await console.standing(code), await world.deploy('bereft'), await world.deploy('gone')];
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    const other = await avamar.applySchedule(context, gone, leaving(code), undefined);
    await world.atConsole('DELETE', `/groups/${group.id}`);
    await avamar.removeSchedule(context, gone, other);
    const own = await avamar.applySchedule(context, vm, leaving(code), ref);
    expect(await console.ownOf(vm)).toContain('groups');
    await avamar.removeSchedule(context, vm, own);
    expect(await console.ownOf(vm)).toEqual([]);
  });
});

describe('a change', () => {
  test('from a group to groups of its own and back', async () => {
    const code = newCode();
    const [group, vm] = [await console.standing(code), await world.deploy('to-and-fro')];
    const joined = await avamar.applySchedule(context, vm, leaving(code), undefined);
    const own = await avamar.applySchedule(context, vm, fixed(code), joined);
    expect([await console.membersOf(group), await console.ownOf(vm)]).toEqual([
      [],
      ['groups', 'schedules', 'retentions'],
    ]);
    const back = await avamar.applySchedule(context, vm, leaving(code), own);
    expect([await console.membersOf(group), await console.ownOf(vm)]).toEqual([[joined.vmRef], []]);
    expect(back).toEqual(joined);
  });

  test('from one group to another, and its undo', async () => {
    const [code, other] = [newCode(), newCode()];
    const [from, to] = [await console.standing(code), await console.standing(other)];
    const vm = await world.deploy('moving');
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    // Whoever dies here has no reference that tells of the second group.
    await avamar.applySchedule(context, vm, leaving(other), ref);
    expect([await console.membersOf(from), await console.membersOf(to)]).toEqual([[], [ref.vmRef]]);
    expect(await avamar.applySchedule(context, vm, leaving(code), ref)).toEqual(ref);
    expect([await console.membersOf(from), await console.membersOf(to)]).toEqual([[ref.vmRef], []]);
  });

  test('that was undone leaves alone what an administrator then makes of the other group', async () => {
    const [code, other] = [newCode(), newCode()];
    const [to, vm] = [await console.standing(other), await world.deploy('undone-move')];
    await console.standing(code);
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    await avamar.applySchedule(context, vm, leaving(code), ref);
    await avamar.applySchedule(context, vm, leaving(other), ref);
    await avamar.applySchedule(context, vm, leaving(code), ref);
    expect(await console.membersOf(to)).toEqual([]);
    await console.putInto(ref.vmRef, to);
    await avamar.applySchedule(context, vm, leaving(code), ref);
    await avamar.removeSchedule(context, vm, ref);
    expect(await console.membersOf(to)).toEqual([ref.vmRef]);
  });

  test('of the machine takes the new client into the group and the old one out', async () => {
    const code = newCode();
    const [group, vm] = [await console.standing(code), await world.deploy('replaced')];
    const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
    const now = { ...(await world.redeploy(vm)), vendorRefs: [ref.vmRef] };
    const after = await avamar.applySchedule(context, now, leaving(code), ref);
    expect(after.vmRef).not.toBe(ref.vmRef);
    expect(await console.membersOf(group)).toEqual([after.vmRef]);
  });
});
