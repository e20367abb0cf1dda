/**
 * The pieces of work that are compared. Each ends when the client knows that its run has ended.
 * @module
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { createOperationRequests } from '../../api/operation-requests.ts';
import type { Database } from '../../db/connect.ts';
import { workflowId } from '../../domain/operations.ts';
import { loadConfig } from '../../temporal.config.ts';
import { startOperation } from '../../workflows/start.ts';
import type { BaselineInput } from './baseline-workflow.ts';
import type { Estate } from './estate.ts';
import type { HistoryShape } from './history-shape.ts';

/** Prepares so many pieces; what that takes is not measured. */
export type Work = (count: number) => Promise<(() => Promise<void>)[]>;

/** Where the work is done. */
export interface Place {
  readonly client: Client;
  readonly db: Database;
  readonly estate: Estate;
}

const ROUTE = 'POST /v1/virtual-machines/{id}/deploy';

/** Deploys of VMs of their own, requested as the HTTP route does, with an `Idempotency-Key`. */
export function deploys({ client, db, estate }: Place, queue: string, sawRun?: (id: string) => void): Work {
  const { limits, temporal } = loadConfig({});
  const logger = pino({ level: 'warn' });
  const { periodicTaskQueue } = temporal;
  const requests = createOperationRequests({ db, temporal: client, logger, limits, periodicTaskQueue });
  return async (count) => {
    const vms = await estate.newVms(queue, count);
    return vms.map((vm) => async () => {
      const requestHash = createHash('sha256').update(`${ROUTE}${vm.id}`).digest('hex');
      const idempotency = { key: randomUUID(), route: ROUTE, requestHash };
      const request = { principal: estate.principal, vmId: vm.id, body: {}, idempotency };
      const { operationId } = await requests.deploy(request);
      const id = workflowId({ vmName: vm.name, vmId: vm.id, kind: 'DEPLOY', operationId }, 0);
      await client.workflow.getHandle(id).result();
      sawRun?.(id);
    });
  };
}

/** The baseline: started by the same client, with as many bytes. */
export function baselines(client: Client, shape: HistoryShape, sawRun?: (id: string) => void): Work {
  const bare = JSON.stringify({ shape: shape.activities, padding: '' } satisfies BaselineInput).length;
  const input: BaselineInput = { shape: shape.activities, padding: '.'.repeat(Math.max(0, shape.input - bare)) };
  return async (count) =>
    Array.from({ length: count }, () => async () => {
      const id = `baseline/${randomUUID()}`;
      const handle = await client.workflow.start('baseline', { taskQueue: 'baseline', workflowId: id, args: [input] });
      await handle.result();
      sawRun?.(id);
    });
}

/** The product's workflow started with its labels, and nothing in the database. */
export function workflowsAlone(client: Client, queue: string): Work {
  const { limits } = loadConfig({});
  return async (count) =>
    Array.from({ length: count }, () => async () => {
      const id = randomUUID();
      const operation = {
        id,
        kind: 'DEPLOY',
        origin: 'HOLDFAST',
        vm_id: randomUUID(),
        vm_name: 'web-1',
        workflow_id: `vm/web-1~00000000/deploy~${id}`,
        recovery: 0,
        lost: null,
        datacenter_name: `dc-${queue}`,
        enterprise_name: 'acme',
        task_queue: queue,
      } as const;
      await startOperation(client, operation, limits);
      await client.workflow.getHandle(operation.workflow_id).result();
    });
}
