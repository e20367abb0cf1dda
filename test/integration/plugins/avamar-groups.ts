/**
 * Backup groups as an administrator makes them and looks at them, and the schedules of VMs that may join one.
 * @module
 */
import type { ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import { backupOf, scheduleOf } from '../../conformance/port-calls.ts';
import type { AvamarWorld } from './avamar-world.ts';

export interface SeenGroup {
  readonly id: string;
  readonly name: string;
}

/** What every server has. */
export const PARTS = { datasetId: 'VMWARE:SNAPID', scheduleId: 'Default:SCHEDULEID', retentionId: 'Default:POLICYID' };

let lastCode = 0;
/** The code of a policy that nothing else is called by. */
export const newCode = (): string => `GOLD-${(lastCode += 1)}`;

/** A schedule that leaves everything to the backup system. */
export const leaving = (code: string): BackupSchedule => scheduleOf(code, [backupOf('DAILY'), backupOf('MONTHLY')]);

export const fixed = (code: string): BackupSchedule => scheduleOf(code, [backupOf('DAILY', { time: '23:00' })]);

/** One schedule of the policies of several, `p1`, `p2` and so on. */
export function together(...schedules: BackupSchedule[]): BackupSchedule {
  const policies = schedules.flatMap((schedule) => schedule.policies);
  return { managerId: 'm1', policies: policies.map((policy, index) => ({ ...policy, policyId: `p${index + 1}` })) };
}

export function groupsAtConsole(world: AvamarWorld) {
  return {
    async standing(code: string, more: object = {}): Promise<SeenGroup> {
      const body = { name: code, domainFqdn: '/', enabled: true, encryption: 'HIGH', ...PARTS, ...more };
      return (await world.atConsole('POST', '/groups/backup-groups', body)) as SeenGroup;
    },
    /** The clients that are in it. */
    async membersOf({ id }: SeenGroup): Promise<string[]> {
      const page = await world.atConsole('GET', `/groups/${id}/members?size=500`);
      return (page as { content: { cid: string }[] }).content.map(({ cid }) => cid);
    },
    groupNow: ({ id }: SeenGroup): Promise<unknown> => world.atConsole('GET', `/groups/${id}`),
    putInto: (cid: string, { id }: SeenGroup) => world.atConsole('POST', `/clients/${cid}/groups/add`, [id]),
    /** The kinds of everything that was made for the VM alone. */
    async ownOf(vm: ProtectedVm): Promise<string[]> {
      const kinds = Object.entries(await world.inventory());
      return kinds.flatMap(([kind, things]) => things.filter(({ name }) => name.includes(vm.id)).map(() => kind));
    },
  };
}
