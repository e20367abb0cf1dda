/**
 * What is crashed: each workflow, its steps, where each of them can be kept, and what the operation makes of the machine.
 * @module
 */
import type { OperationKind, StepName } from '../../domain/operations.ts';
import type { Hardware, VmState } from '../../domain/virtual-machines.ts';
import type { Chance } from './chance.ts';
import type { Hold, Moment, RequestHold } from './holds.ts';
import { type Backup, type Condition, HARDWARE, type Machine } from './machines.ts';
import type { Stage } from './stage.ts';
import { veeamPlans } from './veeam-workflows.ts';

/** Where in a step an operation is when the fault strikes. */
export type Point =
  /** Its attempt is about to begin. */
  | 'begin'
  /** It asks whether it may write. */
  | 'permit'
  /** Its request is on the wire and has had no effect. */
  | 'wire'
  /** The effect is there, the answer is on its way. */
  | 'answer'
  /** The answer is there, the step's end is being recorded. */
  | 'record';

/** A step that can be struck. */
export interface StepPlan {
  readonly name: StepName;
  /** The requests that have its effect, one of which is kept; none: its effect is in the database alone. */
  readonly effects?: (machine: Machine) => readonly Omit<RequestHold, 'when'>[];
  /** It is being undone when the fault strikes. */
  readonly undo?: true;
  /** Its machine becomes known with its request: only requests of it can be kept. */
  readonly requestsOnly?: true;
  /** It only waits for a session: nothing of it is kept, the session is long. */
  readonly waits?: true;
  /** It comes after the session, which has to end soon. */
  readonly afterSession?: true;
  /** Its effect is a read: no permission is asked. */
  readonly reads?: true;
}

/** A workflow under trial. */
export interface WorkflowPlan {
  readonly name: string;
  readonly kind: OperationKind;
  readonly condition: Condition;
  /** What protects its machines; by default Avamar. */
  readonly protectedBy?: Backup;
  readonly steps: readonly StepPlan[];
  /** The request that begins it; `null`: nobody requests it. */
  readonly request: ((stage: Stage, machine: Machine) => Request) | null;
  /** What makes it begin where nobody requests it. */
  readonly begins?: (stage: Stage, machine: Machine) => Promise<void>;
  /** Makes its story fail, so that it rolls back. */
  readonly refused?: (machine: Machine) => Omit<RequestHold, 'when'>;
  /** The backup that it makes is to be copied. */
  readonly replicates?: true;
  /** What the machine is once it has succeeded. */
  readonly after: (machine: Machine) => Partial<Expected>;
}

export interface Request {
  readonly method: 'POST' | 'PUT';
  readonly path: string;
  readonly body?: unknown;
}

/** What the database must say of a machine. */
export interface Expected {
  readonly state: VmState;
  readonly hardware: Hardware;
  readonly policy: 'GOLD' | 'SILVER' | 'NONE';
}

const vms = (id: string): string => `^/vms/${id}$`;
const power = { system: 'hypervisor', method: 'PUT' } as const;
const onHypervisor = (method: string, path: string, body?: string) => [
  { system: 'hypervisor', method, path, ...(body === undefined ? {} : { body }) } as const,
];
const onAvamar = (method: string, path: string, body?: string) =>
  ({ system: 'avamar', method, path: `/api/v1${path}`, ...(body === undefined ? {} : { body }) }) as const;

/** Making a schedule for the machine: the thing with its times, the one with its retention, the group that joins them. */
const making = ({ id }: Machine) =>
  ['/schedules$', '/retentions$', '/groups/backup-groups$'].map((path) => onAvamar('POST', path, `"holdfast-${id}-`));

/** Taking the machine's schedule away. */
const taking = ({ group }: Machine) =>
  group === null
    ? []
    : [
        onAvamar('DELETE', `/groups/${encodeURIComponent(group.groupId)}$`),
        onAvamar('DELETE', `/schedules/${encodeURIComponent(group.scheduleId)}$`),
        onAvamar('DELETE', `/retentions/${encodeURIComponent(group.retentionId)}$`),
      ];

const WATCH: StepPlan = { name: 'WATCH', waits: true };
const RECORD: StepPlan = { name: 'RECORD', afterSession: true };

const operation =
  (name: string) =>
  (_stage: Stage, { id }: Machine): Request => ({
    method: 'POST',
    path: `/v1/virtual-machines/${id}/${name}`,
  });

/** The hardware that a reconfigure asks for; with disks, where the release under test changes them. */
export const CHANGED: Hardware = {
  cpu: 3,
  memoryMiB: 4096,
  disks: [
    { label: 'system', sizeGiB: 30 },
    { label: 'extra', sizeGiB: 10 },
  ],
};

/** The workflows of a system; `disks`: whether it reconfigures disks. */
export function workflowPlans(disks: boolean): WorkflowPlan[] {
  const changed = (machine: Machine): Hardware => (disks ? CHANGED : { ...CHANGED, disks: machine.hardware.disks });
  const commit: StepPlan = {
    name: 'COMMIT_DISKS',
    effects: ({ id }) => onHypervisor('PATCH', vms(id), '^(?!.*"cpu")'),
  };
  return [
    {
      name: 'deployVm',
      kind: 'DEPLOY',
      condition: 'NEW',
      request: operation('deploy'),
      steps: [
        { name: 'ALLOCATE', effects: ({ id }) => onHypervisor('PUT', `^/allocations/${id}$`) },
        { name: 'CONFIGURE', effects: ({ id }) => onHypervisor('PUT', vms(id)) },
        { name: 'POWER_ON', effects: ({ id }) => [{ ...power, path: `^/vms/${id}/power$` }] },
        { name: 'BACKUP_SCHEDULE', effects: making },
      ],
      after: () => ({ state: 'ON' }),
    },
    {
      name: 'reconfigureVm',
      kind: 'RECONFIGURE',
      condition: 'ON',
      request: ({ tenant }, machine) => ({
        method: 'PUT',
        path: `/v1/virtual-machines/${machine.id}`,
        body: { ...changed(machine), backupPolicies: [{ policyId: tenant.silverId }] },
      }),
      steps: [
        { name: 'RECONFIGURE', effects: ({ id }) => onHypervisor('PATCH', vms(id), '"cpu"') },
        { name: 'BACKUP_SCHEDULE', effects: (machine) => [...making(machine), ...taking(machine)] },
        ...(disks ? [commit] : []),
      ],
      after: (machine) => ({ hardware: changed(machine), policy: 'SILVER' }),
    },
    {
      name: 'undeployVm',
      kind: 'UNDEPLOY',
      condition: 'ON',
      request: operation('undeploy'),
      steps: [
        { name: 'BACKUP_SCHEDULE', effects: taking },
        { name: 'POWER_OFF', effects: ({ id }) => [{ ...power, path: `^/vms/${id}/power$` }] },
        { name: 'DECONFIGURE', effects: ({ id }) => onHypervisor('DELETE', vms(id)) },
        { name: 'DEALLOCATE', effects: ({ id }) => onHypervisor('DELETE', `^/allocations/${id}$`) },
      ],
      after: () => ({ state: 'NOT_ALLOCATED' }),
    },
    {
      name: 'powerVm on',
      kind: 'POWER_ON',
      condition: 'OFF',
      request: operation('power-on'),
      steps: [{ name: 'POWER_ON', effects: ({ id }) => [{ ...power, path: `^/vms/${id}/power$` }] }],
      after: () => ({ state: 'ON' }),
    },
    {
      name: 'powerVm off',
      kind: 'POWER_OFF',
      condition: 'ON',
      request: operation('power-off'),
      steps: [{ name: 'POWER_OFF', effects: ({ id }) => [{ ...power, path: `^/vms/${id}/power$` }] }],
      after: () => ({ state: 'OFF' }),
    },
    {
      name: 'backupVm',
      kind: 'BACKUP',
      condition: 'ON',
      request: operation('backup'),
      steps: [
        { name: 'REQUEST_BACKUP', effects: ({ cid }) => [onAvamar('POST', `/clients/${cid}/backup$`)] },
        WATCH,
        RECORD,
      ],
      after: () => ({}),
    },
    {
      name: 'backupVm with replication',
      kind: 'BACKUP',
      condition: 'ON',
      replicates: true,
      request: (_stage, { id }) => ({
        method: 'POST',
        path: `/v1/virtual-machines/${id}/backup`,
        body: { replication: true },
      }),
      steps: [
        RECORD,
        {
          name: 'REPLICATE',
          effects: ({ id }) => [onAvamar('POST', '/replication/groups$', `holdfast-${id}-replicate-`)],
          afterSession: true,
        },
      ],
      after: () => ({}),
    },
    {
      name: 'restoreVm',
      kind: 'RESTORE',
      condition: 'BACKED_UP',
      request: (_stage, { backup }) => ({
        method: 'POST',
        path: `/v1/backup-results/${backup?.resultId}/restores`,
        body: {},
      }),
      steps: [
        {
          name: 'REQUEST_RESTORE',
          effects: ({ cid, backup }) => [onAvamar('POST', `/clients/${cid}/backups/${backup?.vendorId}/restore:vm$`)],
        },
        WATCH,
        { name: 'REFRESH', effects: ({ id }) => onHypervisor('GET', vms(id)), afterSession: true, reads: true },
        { name: 'BACKUP_SCHEDULE', afterSession: true },
        RECORD,
      ],
      after: () => ({}),
    },
    {
      name: 'registerVm',
      kind: 'REGISTER',
      condition: 'UNMANAGED',
      request: ({ tenant: { enterpriseId, datacenterId } }, { name, moref }) => ({
        method: 'POST',
        path: '/v1/virtual-machines',
        body: { name, enterpriseId, datacenterId, hypervisorRef: moref },
      }),
      steps: [
        {
          name: 'REGISTER',
          effects: ({ moref }) => onHypervisor('PUT', `^/morefs/${moref}/identity$`),
          requestsOnly: true,
        },
      ],
      after: () => ({ state: 'ON', hardware: HARDWARE, policy: 'NONE' }),
    },
    {
      name: 'cleanupVm',
      kind: 'CLEANUP',
      condition: 'LEFTOVER',
      request: (_stage, { leftBy }) => ({ method: 'POST', path: `/v1/operations/${leftBy}/retry-cleanup` }),
      steps: [{ name: 'CLEAN_BACKUP_SYSTEM', effects: taking }],
      after: () => ({}),
    },
    {
      name: 'observeSession',
      kind: 'SCHEDULED_BACKUP',
      condition: 'ON',
      request: null,
      begins: ({ console }, { cid }) =>
        console('POST', `/clients/${cid}/backup`, { targets: [{ name: 'ALL', pluginNumber: 1016 }] }),
      steps: [{ name: 'OBSERVE' }, WATCH, RECORD],
      after: () => ({}),
    },
    ...veeamPlans,
  ];
}

/**
 * What keeps an operation at that point of that step; `null`: nothing needs to, it waits there by itself. A step without
 * an effect outside is kept where its attempt begins, or where its end is recorded: that is its effect.
 */
export function holdAt(step: StepPlan, point: Point, machine: Machine, chance: Chance): Hold | null {
  const statement = (at: Moment): Hold => ({
    system: 'database',
    vmId: machine.id,
    step: step.name,
    at: step.undo === true ? `undo-${at}` : at,
  });
  if (step.waits === true) return point === 'record' || point === 'answer' ? statement('record') : null;
  const effects = step.effects?.(machine) ?? [];
  if (effects.length === 0) return statement(point === 'record' || point === 'answer' ? 'record' : 'begin');
  switch (point) {
    case 'wire':
      return { ...chance.pick(effects), when: 'before' };
    case 'answer':
      return { ...chance.pick(effects), when: 'after' };
    case 'permit':
      // A read asks for no permission: it is kept on the wire.
      return step.reads === true ? { ...chance.pick(effects), when: 'before' } : statement('permit');
    default:
      return statement(point);
  }
}
