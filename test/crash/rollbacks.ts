/**
 * Operations that the other system refuses half way, crashed while they are undone.
 * @module
 */
import type { RequestHold } from './holds.ts';
import type { Machine } from './machines.ts';
import { veeamRollback } from './veeam-workflows.ts';
import type { StepPlan, WorkflowPlan } from './workflows.ts';

type Effects = (machine: Machine) => readonly Omit<RequestHold, 'when'>[];

const undone = (name: StepPlan['name'], effects?: Effects): StepPlan => ({
  name,
  undo: true,
  ...(effects === undefined ? {} : { effects }),
});

const hypervisor =
  (method: string, path: (id: string) => string, body?: string): Effects =>
  ({ id }) => [{ system: 'hypervisor', method, path: path(id), ...(body === undefined ? {} : { body }) }];

/** A group is made last, when the schedule and the retention are there. */
const newGroup =
  (code: string) =>
  ({ id }: Machine) => ({
    system: 'avamar' as const,
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    body: `"holdfast-${id}-${code}`,
  });

/** The rollbacks of these workflows. */
export function rollbackPlans(plans: readonly WorkflowPlan[]): WorkflowPlan[] {
  const of = (name: string): WorkflowPlan => {
    const plan = plans.find((one) => one.name === name);
    if (plan === undefined) throw new Error(`no workflow ${name}`);
    return { ...plan, name: `${name} rolled back`, after: () => ({}) };
  };
  return [
    {
      ...of('deployVm'),
      refused: newGroup('GOLD'),
      steps: [
        undone('BACKUP_SCHEDULE'),
        undone(
          'POWER_ON',
          hypervisor('PUT', (id) => `^/vms/${id}/power$`, '"OFF"'),
        ),
        undone(
          'CONFIGURE',
          hypervisor('DELETE', (id) => `^/vms/${id}$`),
        ),
        undone(
          'ALLOCATE',
          hypervisor('DELETE', (id) => `^/allocations/${id}$`),
        ),
      ],
    },
    {
      ...of('reconfigureVm'),
      refused: newGroup('SILVER'),
      steps: [
        undone('BACKUP_SCHEDULE'),
        undone(
          'RECONFIGURE',
          hypervisor('PATCH', (id) => `^/vms/${id}$`, '"cpu":2'),
        ),
      ],
    },
    {
      ...of('undeployVm'),
      refused: ({ id }) => ({ system: 'hypervisor', method: 'PUT', path: `^/vms/${id}/power$`, body: '"OFF"' }),
      steps: [
        undone('BACKUP_SCHEDULE', ({ id }) =>
          ['/schedules$', '/retentions$', '/groups/backup-groups$'].map((path) => ({
            system: 'avamar',
            method: 'POST',
            path: `/api/v1${path}`,
            body: `"holdfast-${id}-`,
          })),
        ),
      ],
    },
    veeamRollback,
  ];
}
