/**
 * Deploys that leave a part of the product out, to see what it costs. Each is made by handing in something else: other
 * ports, other activities, another pool. The product knows none of them.
 * @module
 */
import { heartbeat } from '@temporalio/activity';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { NamingContext } from '../../activities/calls.ts';
import type { Dependencies } from '../../activities/dependencies.ts';
import type { VmIdentity } from '../../activities/hypervisors/hypervisor.ts';
import { createActivities } from '../../activities/index.ts';
import type { Database } from '../../db/connect.ts';
import type { DB } from '../../db/schema.ts';
import type { Sealing } from '../../db/sealing.ts';
import type { Briefing, ControlActivities, StepActivities, StepInput } from '../../workflows/contract.ts';
import { instantHypervisor, instantManagers, unchecked } from './instant-ports.ts';

/** What is left out; each variant has a datacenter and a task queue of its name. */
export const VARIANTS = {
  'no-events': 'without its two events',
  'no-permissions': 'without a fence check before each write',
  'no-steps': 'without recorded steps, their fence checks and the write slot',
  'no-database': 'without PostgreSQL: the workflow with its labels and options alone',
} as const;
export type Variant = keyof typeof VARIANTS;

/** What the variants are made from. */
export interface Ingredients {
  readonly deps: Dependencies;
  readonly sealing: Sealing;
  readonly databaseUrl: string;
}

/** The activities of a worker that leaves the part out. */
export function variantActivities(variant: Variant, { deps, sealing, databaseUrl }: Ingredients) {
  switch (variant) {
    case 'no-events':
      return createActivities({ ...deps, db: databaseWithoutEvents(databaseUrl, 20) });
    case 'no-permissions':
      return createActivities({
        ...deps,
        hypervisors: () => instantHypervisor(unchecked),
        managers: instantManagers(deps.db, sealing, unchecked),
      });
    case 'no-steps':
      return { ...createActivities(deps), ...unrecordedSteps(deps) };
    case 'no-database':
      return { ...createActivities(deps), ...emptyActivities() };
  }
}

/** A database that takes events and forgets them: the statement that writes one is not sent. */
export function databaseWithoutEvents(url: string, poolSize: number): Database {
  const pool = new pg.Pool({ connectionString: url, max: poolSize });
  const connect = async () => {
    const connection = await pool.connect();
    const query = async (text: string, values: readonly unknown[]) => {
      if (text.startsWith('insert into "event"')) return { command: 'INSERT' as const, rowCount: 1, rows: [] };
      return connection.query(text, [...values]);
    };
    return { query: query as never, release: () => connection.release() };
  };
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool: { connect, end: () => pool.end(), options: {} } }) });
}

/** The same calls to the ports, without a word in the database. */
function unrecordedSteps(deps: Dependencies): Partial<StepActivities> {
  const call: NamingContext = {
    signal: new AbortController().signal,
    beforeWrite: () => Promise.resolve(),
    progress: (note) => heartbeat(note),
    namedWrites: {
      begin: () => Promise.resolve(),
      settle: () => Promise.resolve(),
      unsettledFor: () => Promise.resolve(undefined),
      unsettled: () => Promise.resolve([]),
    },
  };
  const hypervisor = instantHypervisor(unchecked);
  const on = (effect: (vm: VmIdentity) => Promise<unknown>) => async (step: StepInput) => {
    await effect({ id: step.operationId, name: 'web' });
  };
  const hardware = { cpu: 2, memoryMiB: 2048, disks: [] };
  return {
    allocate: on((vm) => hypervisor.allocate(call, vm, hardware)),
    configure: on((vm) => hypervisor.configure(call, vm, hardware)),
    powerOn: on((vm) => hypervisor.powerOn(call, vm)),
    configureSchedule: async ({ operationId, managerId }) => {
      const { system } = await deps.managers.connect(managerId ?? '');
      const vm = { id: operationId, name: 'web', hypervisorRef: 'vm-1', vendorRefs: [] };
      await system.applySchedule(call, vm, { managerId: managerId ?? '', policies: [] }, undefined);
    },
  };
}

/** A deploy of one manager as the database would tell it. */
function emptyActivities(): Partial<ControlActivities & StepActivities> {
  const nothing = () => Promise.resolve();
  const managerId = '0192f0c1-2d3e-7f40-8a5b-6c7d8e9fa0b1';
  const plain = { managerId: null, managerName: null, skip: null, before: null };
  const briefing: Briefing = {
    kind: 'DEPLOY',
    vmName: 'web-1',
    datacenterName: 'dc-product',
    enterpriseName: 'acme',
    steps: [
      { name: 'ALLOCATE', ...plain },
      { name: 'CONFIGURE', ...plain },
      { name: 'POWER_ON', ...plain },
      { name: 'BACKUP_SCHEDULE', managerId, managerName: 'avamar-1', skip: null, before: null },
    ],
    force: false,
    recovery: null,
  };
  return {
    beginOperation: () => Promise.resolve(briefing),
    allocate: nothing,
    configure: nothing,
    powerOn: nothing,
    configureSchedule: nothing,
    finishOperation: ({ outcome }) => Promise.resolve(outcome),
  };
}
