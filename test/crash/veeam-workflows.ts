/**
 * What is crashed of machines that Veeam protects: the steps that are different there.
 * @module
 */
import type { RequestHold } from './holds.ts';
import type { Machine } from './machines.ts';
import type { StepPlan, WorkflowPlan } from './workflows.ts';

type Effect = Omit<RequestHold, 'when'>;

const onVeeam = (method: string, path: string, body?: string): Effect => ({
  system: 'veeam',
  method,
  path: `/api${path}`,
  ...(body === undefined ? {} : { body }),
});

/** Making the machine's job: the clone, and the machine that goes into it. */
const making = ({ id, name }: Machine): Effect[] => [
  onVeeam('POST', '/jobs/[^/]+\\?action=clone$', `holdfast-${id}<`),
  onVeeam('POST', '/jobs/[^/]+/includes$', `HierarchyObjName>${name}<`),
];

/** Putting another machine into the job than the one that is in it. */
const moving = ({ jobId }: Machine): Effect[] => [
  onVeeam('PUT', `/jobs/${jobId}$`),
  onVeeam('POST', `/jobs/${jobId}/includes$`),
  onVeeam('DELETE', `/jobs/${jobId}/includes/`),
];

const undoneSchedule: StepPlan = { name: 'BACKUP_SCHEDULE', undo: true };

const deploy: WorkflowPlan = {
  name: 'deployVm with Veeam',
  kind: 'DEPLOY',
  condition: 'NEW',
  protectedBy: 'veeam',
  request: (_stage, { id }) => ({ method: 'POST', path: `/v1/virtual-machines/${id}/deploy` }),
  steps: [{ name: 'BACKUP_SCHEDULE', effects: making }],
  after: () => ({ state: 'ON' }),
};

/** The workflows of machines that Veeam protects. */
export const veeamPlans: readonly WorkflowPlan[] = [
  deploy,
  {
    name: 'restoreVm with Veeam',
    kind: 'RESTORE',
    condition: 'REDEPLOYED',
    protectedBy: 'veeam',
    request: (_stage, { backup }) => ({
      method: 'POST',
      path: `/v1/backup-results/${backup?.resultId}/restores`,
      body: {},
    }),
    steps: [
      {
        name: 'REQUEST_RESTORE',
        effects: ({ backup }) => [onVeeam('POST', `/vmRestorePoints/${backup?.vendorId.split(':').at(-1)}$`)],
      },
      {
        name: 'REFRESH',
        effects: ({ id }) => [{ system: 'hypervisor', method: 'PUT', path: '/identity$', body: `"id":"${id}"` }],
        afterSession: true,
      },
      {
        name: 'REPLACE',
        effects: ({ moref }) => [{ system: 'hypervisor', method: 'DELETE', path: `^/morefs/${moref}$` }],
        afterSession: true,
      },
      { name: 'BACKUP_SCHEDULE', effects: moving, afterSession: true },
    ],
    after: () => ({}),
  },
  {
    name: 'refreshSchedule',
    kind: 'SCHEDULE_REFRESH',
    condition: 'ON',
    protectedBy: 'veeam',
    request: null,
    // A job that is switched off has to be written, as one whose offset has changed.
    begins: async (stage, { id, jobId }) => {
      await stage.veeam('PATCH', `/jobs/${jobId}`, { scheduleEnabled: false });
      await stage.rows('update vm_schedule set refresh_at = $2 where vm_id = $1', [id, new Date(0)]);
    },
    steps: [{ name: 'BACKUP_SCHEDULE', effects: ({ jobId }) => [onVeeam('PUT', `/jobs/${jobId}$`)] }],
    after: () => ({}),
  },
];

/** A deploy whose job was cloned and does not take the machine. */
export const veeamRollback: WorkflowPlan = {
  ...deploy,
  name: 'deployVm with Veeam rolled back',
  refused: ({ name }) => onVeeam('POST', '/jobs/[^/]+/includes$', `HierarchyObjName>${name}<`),
  steps: [undoneSchedule],
  after: () => ({}),
};
