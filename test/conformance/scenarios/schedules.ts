/**
 * Stories of a VM's schedule.
 * @module
 */
import { expect } from 'vitest';
import type { ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import type { BackupPluginType } from '../../../domain/plugin-types.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { PluginUnderTest } from '../plugin-under-test.ts';
import { openContext, scheduled, twoSchedules } from '../port-calls.ts';
import type { Scenario } from '../scenarios.ts';

/** What there is for a VM, with what differs from VM to VM replaced. */
async function seen(world: PluginUnderTest, vm: ProtectedVm): Promise<unknown> {
  await world.console.settled();
  const found = { schedules: await world.console.schedules(vm), traces: await world.console.traces(vm) };
  const text = JSON.stringify(found).replaceAll(vm.id, '<vm>');
  return JSON.parse(vm.hypervisorRef === null ? text : text.replaceAll(`"${vm.hypervisorRef}"`, '"<machine>"'));
}

const isConfigurable = () => true;

const replicated = (schedule: BackupSchedule): BackupSchedule => ({
  ...schedule,
  policies: schedule.policies.map((policy) => ({ ...policy, replication: true })),
});

/** What is there for that schedule of the two, and nothing beside it. */
function made(which: 0 | 1) {
  return (type: BackupPluginType): unknown => {
    const [policy] = twoSchedules(type, 'any')[which].policies;
    const schedules = policy?.backups.map(() => ({
      name: expect.any(String),
      enabled: true,
      machines: ['<machine>'],
      when: expect.any(String),
      keepsDays: policy.retentionDays,
    }));
    return { schedules, traces: expect.any(Array) };
  };
}

const nothing = (): unknown => ({ schedules: [], traces: [] });

export const SCHEDULES: readonly Scenario[] = [
  {
    name: 'a schedule is made',
    needs: [],
    isOffered: ({ operations }) => operations.configureOnDeploy,
    isIdempotent: true,
    expected: made(0),
    async begin(world, type) {
      const vm = await world.machines.deploy('made');
      const [schedule] = twoSchedules(type, world.policyCode);
      return {
        async act(system, context) {
          await system.applySchedule(context, vm, schedule, undefined);
        },
        outcome: () => seen(world, vm),
      };
    },
  },
  {
    name: 'a schedule is changed',
    needs: [],
    isOffered: ({ operations }) => operations.configureOnReconfigure,
    isIdempotent: true,
    expected: made(1),
    async begin(world, type) {
      const { vm, ref } = await scheduled(world, type, 'changed');
      const [, schedule] = twoSchedules(type, world.policyCode);
      return {
        async act(system, context) {
          await system.applySchedule(context, vm, schedule, ref);
        },
        outcome: () => seen(world, vm),
      };
    },
  },
  {
    name: 'a schedule follows the machine',
    needs: ['UNDEPLOY'],
    isOffered: isConfigurable,
    isIdempotent: true,
    expected: made(0),
    async begin(world, type) {
      const { vm, schedule, ref } = await scheduled(world, type, 'followed');
      await world.machines.undeploy?.(vm);
      const now = { ...(await world.machines.deploy(vm.name, vm.id)), vendorRefs: vm.vendorRefs };
      return {
        async act(system, context) {
          await system.applySchedule(context, now, schedule, ref);
        },
        outcome: () => seen(world, now),
      };
    },
  },
  {
    name: 'a schedule with replication is made',
    needs: ['REPLICATION'],
    isOffered: ({ operations }) => operations.replication,
    isIdempotent: true,
    expected: made(0),
    async begin(world, type) {
      const vm = await world.machines.deploy('copied');
      const schedule = replicated(twoSchedules(type, world.policyCode)[0]);
      return {
        async act(system, context) {
          await system.applySchedule(context, vm, schedule, undefined);
        },
        outcome: () => seen(world, vm),
      };
    },
  },
  {
    name: 'a schedule is without replication again',
    needs: ['REPLICATION'],
    isOffered: ({ operations }) => operations.replication,
    isIdempotent: true,
    expected: made(0),
    async begin(world, type) {
      const { vm, schedule, ref: before } = await scheduled(world, type, 'no-longer-copied');
      const ref = await world.connect().applySchedule(openContext(), vm, replicated(schedule), before);
      return {
        async act(system, context) {
          await system.applySchedule(context, vm, schedule, ref);
        },
        outcome: () => seen(world, vm),
      };
    },
  },
  {
    name: 'a schedule is removed',
    needs: [],
    isOffered: ({ operations }) => operations.deconfigureOnUndeploy,
    isIdempotent: true,
    expected: nothing,
    async begin(world, type) {
      const { vm, ref } = await scheduled(world, type, 'removed');
      return {
        act: (system, context) => system.removeSchedule(context, vm, ref),
        outcome: () => seen(world, vm),
      };
    },
  },
  {
    name: 'a half made schedule is undone',
    needs: [],
    isOffered: isConfigurable,
    isIdempotent: false,
    expected: nothing,
    async begin(world, type) {
      const vm = await world.machines.deploy('undone');
      const [schedule] = twoSchedules(type, world.policyCode);
      return {
        async act(system, context) {
          await system.applySchedule(context, vm, schedule, undefined);
        },
        async giveUp(system, context) {
          // What was asked may still be on its way when it is first looked for: an undo looks again once it has settled.
          await system.removeSchedule(context, vm, undefined);
          await world.console.settled();
          await system.removeSchedule(context, vm, undefined);
        },
        outcome: async () => {
          await world.connect().removeSchedule(openContext(), vm, undefined);
          return seen(world, vm);
        },
      };
    },
  },
];
