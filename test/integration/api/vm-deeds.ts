/**
 * What people and runs do to virtual machines: each deed is done for real, through the API or as a run does it in the
 * database, and its answer is compared with what the model says.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { finishOperation } from '../../../db/finish.ts';
import { crossPointOfNoReturn, setOutcomeKnown } from '../../../db/operations.ts';
import { bindRun, handOver as handOverInDatabase } from '../../../db/runs.ts';
import { beginAttempt, endAttempt, endUndoAttempt } from '../../../db/steps.ts';
import type { OperationKind, TerminalState } from '../../../domain/operations.ts';
import type { TestApi } from './test-api.ts';
import {
  type Ask,
  begin,
  cancel,
  end,
  handOver,
  holds,
  isOpen,
  judge,
  type Model,
  type Operation,
  type Run,
  settle,
  type Vm,
  vmOf,
  type Who,
  workflowOf,
} from './vm-model.ts';

/** The system that the model is compared with. */
export interface Real {
  readonly api: TestApi;
  readonly enterprises: readonly [string, string];
  readonly tokens: readonly [string, string];
  readonly datacenterId: string;
  readonly managerId: string;
  readonly policyId: string;
  /** Idempotency keys begin with it: each story has its own. */
  readonly story: string;
}

/** Something that is done, to the how-manieth VM or operation that there is. */
export type Deed =
  | { readonly deed: 'create'; readonly owner: 0 | 1; readonly policy: boolean }
  | {
      readonly deed: 'ask';
      readonly vm: number;
      readonly who: Who;
      readonly action: keyof typeof ACTIONS;
      readonly key: string | null;
    }
  | {
      readonly deed: 'change';
      readonly vm: number;
      readonly who: Who;
      readonly cpu: number;
      readonly key: string | null;
    }
  | { readonly deed: 'restore'; readonly vm: number; readonly who: Who; readonly key: string | null }
  | { readonly deed: 'keep a backup'; readonly vm: number }
  | { readonly deed: 'delete'; readonly vm: number; readonly who: Who }
  | { readonly deed: 'look'; readonly vm: number; readonly who: Who }
  | { readonly deed: 'clean up'; readonly operation: number; readonly who: Who; readonly key: string | null }
  | { readonly deed: 'settle'; readonly operation: number; readonly outcome: 'SUCCEEDED' | 'FAILED' }
  | { readonly deed: 'lose sight of'; readonly operation: number }
  | { readonly deed: 'cancel'; readonly operation: number; readonly who: Who }
  | { readonly deed: 'bind'; readonly operation: number; readonly run: Which }
  | { readonly deed: 'cross'; readonly operation: number; readonly run: Which }
  | { readonly deed: 'leave behind'; readonly operation: number; readonly run: Which }
  | { readonly deed: 'finish'; readonly operation: number; readonly run: Which; readonly outcome: TerminalState }
  | { readonly deed: 'hand over'; readonly operation: number; readonly run: Which };

/** The operation's own run, one that somebody made by a reset, or one that was lost before. */
export type Which = 'own' | 'reset' | 'lost';

export const ACTIONS = {
  deploy: 'DEPLOY',
  undeploy: 'UNDEPLOY',
  'force undeploy': 'UNDEPLOY',
  'power-on': 'POWER_ON',
  'power-off': 'POWER_OFF',
  backup: 'BACKUP',
} as const satisfies Record<string, OperationKind>;

/** A deed that was done: what follows from it. */
export interface Done {
  readonly what: string;
  /** Changes the model as the deed must have changed the world; says what differs, if the answer is another one. */
  readonly follow: (model: Model) => string | undefined;
}

/** Whether there is something that the deed can be done to. */
export function isPossible(model: Model, deed: Deed): boolean {
  if (deed.deed === 'create') return model.vms.length < 5;
  if ('operation' in deed) return model.operations.length > 0;
  if (deed.deed === 'restore') return pick(model.vms, deed.vm)?.result != null;
  return model.vms.length > 0;
}

/** Does it, for real. */
export async function perform(model: Model, real: Real, deed: Deed): Promise<Done> {
  const what = JSON.stringify(deed);
  if (deed.deed === 'create') return { what, follow: await create(real, deed) };
  if ('operation' in deed) {
    return {
      what,
      follow: await operate(model, real, deed, pick(openFirst(model.operations), deed.operation) as Operation),
    };
  }
  return { what, follow: await request(model, real, deed, pick(model.vms, deed.vm) as Vm) };
}

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(1, list.length)];
}

/** Those that are still open come first, then the newest: a late run of an old operation is the rarer thing. */
function openFirst(operations: readonly Operation[]): Operation[] {
  const newest = operations.toReversed();
  return [...newest.filter(isOpen), ...newest.filter((operation) => !isOpen(operation))];
}

type Follow = Done['follow'];

function differs(expected: unknown, actual: unknown): string | undefined {
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(actual)];
  return wanted === got ? undefined : `expected ${wanted}, got ${got}`;
}

function tokenOf({ api, tokens }: Real, vm: Vm, who: Who): string {
  if (who === 'platform') return api.tokens.platform;
  return tokens[who === 'owner' ? vm.owner : vm.owner === 0 ? 1 : 0];
}

const HARDWARE = { memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 20 }] };

function chosen(real: Real, policy: boolean) {
  return policy ? [{ policyId: real.policyId }] : [];
}

async function create(real: Real, { owner, policy }: Extract<Deed, { deed: 'create' }>): Promise<Follow> {
  const name = real.api.unique('model-vm');
  const backupPolicies = chosen(real, policy);
  const body = { name, datacenterId: real.datacenterId, cpu: 1, ...HARDWARE, backupPolicies };
  const answer = await real.api.send(real.tokens[owner], 'POST', '/v1/virtual-machines', { body });
  return (model) => {
    model.vms.push({
      id: answer.body.id,
      name,
      owner,
      policy,
      state: 'NOT_ALLOCATED',
      deleted: false,
      cpu: 1,
      fence: 0,
      holder: null,
      result: null,
      leftBy: [],
      events: policy ? ['CREATE', 'ADD_BACKUP_POLICY'] : ['CREATE'],
    });
    return differs(201, answer.status);
  };
}

async function request(
  model: Model,
  real: Real,
  deed: Exclude<Deed, { deed: 'create' } | { operation: number }>,
  vm: Vm,
): Promise<Follow> {
  const path = `/v1/virtual-machines/${vm.id}`;
  switch (deed.deed) {
    case 'ask': {
      const kind = ACTIONS[deed.action];
      const force = deed.action === 'force undeploy';
      const action = force ? 'undeploy' : deed.action;
      const pattern = `/v1/virtual-machines/{id}/${action}`;
      const body = force ? { forceUndeploy: true } : {};
      return ask(real, vm, { ...deed, kind, force, method: 'POST', path: `${path}/${action}`, pattern, body });
    }
    case 'change': {
      const body = { cpu: deed.cpu, ...HARDWARE, backupPolicies: chosen(real, vm.policy) };
      const pattern = '/v1/virtual-machines/{id}';
      return ask(real, vm, { ...deed, kind: 'RECONFIGURE', method: 'PUT', path, pattern, body });
    }
    case 'restore': {
      const restores = `/v1/backup-results/${vm.result}/restores`;
      const pattern = '/v1/backup-results/{id}/restores';
      return ask(real, vm, { ...deed, kind: 'RESTORE', method: 'POST', path: restores, pattern, body: {} });
    }
    case 'keep a backup': {
      const id = vm.result ?? (await keepBackup(real, vm));
      return (later) => {
        (pick(later.vms, model.vms.indexOf(vm)) as Vm).result = id;
        return undefined;
      };
    }
    case 'delete':
      return remove(real, vm, deed.who);
    case 'look':
      return look(real, vm, deed.who);
  }
}

interface Asked {
  readonly kind: OperationKind;
  readonly who: Who;
  readonly key: string | null;
  readonly cpu?: number;
  readonly force?: boolean;
  readonly cleansUp?: string;
  readonly method: string;
  readonly path: string;
  readonly pattern: string;
  readonly body: unknown;
}

async function ask(real: Real, vm: Vm, asked: Asked): Promise<Follow> {
  const { kind, who, method, path, pattern, body } = asked;
  const key = asked.key === null ? null : `${real.story}-${asked.key}`;
  const token = tokenOf(real, vm, who);
  const headers = key === null ? {} : { 'idempotency-key': key };
  const answer = await real.api.send(token, method, path, { body, headers });
  const wish: Ask = {
    vmId: vm.id,
    who,
    kind,
    cpu: asked.cpu ?? null,
    force: asked.force ?? false,
    cleansUp: asked.cleansUp ?? null,
    key,
    scope: `${token} ${method} ${pattern}`,
    request: `${method} ${path} ${JSON.stringify(body)}`,
  };
  return (model) => {
    const verdict = judge(model, wish);
    if ('begins' in verdict) {
      if (answer.status === 202) begin(model, wish, answer.body.id);
      return differs([202, kind, null], [answer.status, answer.body.kind, answer.headers.get('idempotency-replayed')]);
    }
    if ('repeats' in verdict) {
      const replayed = answer.headers.get('idempotency-replayed');
      return differs([202, verdict.repeats, 'true'], [answer.status, answer.body.id, replayed]);
    }
    if ('code' in verdict) {
      const { status, code, holder = null } = verdict;
      return differs(
        [status, code, holder],
        [answer.status, answer.body?.code, answer.body?.holder?.operationId ?? null],
      );
    }
    const changed = model.vms.find(({ id }) => id === vm.id) as Vm;
    changed.cpu = asked.cpu ?? changed.cpu;
    changed.events.push('MODIFY');
    return differs(verdict.status, answer.status);
  };
}

/** A backup that the VM can be restored from is there. */
async function keepBackup({ api, enterprises, managerId }: Real, vm: Vm): Promise<string> {
  const { id } = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: vm.id,
      enterprise_id: enterprises[vm.owner],
      manager_id: managerId,
      origin: 'SCHEDULED',
      name: 'nightly',
      status: 'SUCCEEDED',
      started_at: '2026-11-22T02:00:00Z',
      ended_at: '2026-11-22T02:30:00Z',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await api.db
    .insertInto('result_copy')
    .values({ result_id: id, location: 'avamar', vendor_id: 'b-1', vendor_vm_ref: 'client-1' })
    .execute();
  return id;
}

async function remove(real: Real, vm: Vm, who: Who): Promise<Follow> {
  const answer = await real.api.send(tokenOf(real, vm, who), 'DELETE', `/v1/virtual-machines/${vm.id}`);
  return (model) => {
    const removed = model.vms.find(({ id }) => id === vm.id) as Vm;
    if (removed.deleted || who === 'stranger') return differs([404, 'NOT_FOUND'], [answer.status, answer.body?.code]);
    if (removed.holder !== null || removed.state !== 'NOT_ALLOCATED') {
      return differs([409, 'VM_DELETE_NOT_ALLOWED'], [answer.status, answer.body?.code]);
    }
    removed.deleted = true;
    removed.events.push('DELETE');
    return differs(204, answer.status);
  };
}

async function look(real: Real, vm: Vm, who: Who): Promise<Follow> {
  const answer = await real.api.send(tokenOf(real, vm, who), 'GET', `/v1/virtual-machines/${vm.id}`);
  return (model) => {
    const seen = model.vms.find(({ id }) => id === vm.id) as Vm;
    if (seen.deleted || who === 'stranger') return differs(404, answer.status);
    const { state, storedState, lock } = answer.body;
    const visible = seen.holder === null ? seen.state : 'LOCKED';
    return differs(
      [200, visible, seen.state, seen.holder],
      [answer.status, state, storedState, lock?.operationId ?? null],
    );
  };
}

async function operate(
  model: Model,
  real: Real,
  deed: Extract<Deed, { operation: number }>,
  operation: Operation,
): Promise<Follow> {
  const { db } = real.api;
  const { id } = operation;
  const here = (later: Model) => later.operations.find((candidate) => candidate.id === id) as Operation;
  const vm = vmOf(model, operation);
  const path = `/v1/operations/${id}`;
  switch (deed.deed) {
    case 'cancel': {
      const { body } = await real.api.send(tokenOf(real, vm, deed.who), 'POST', `${path}/cancel`);
      return (later) => differs(cancel(later, here(later), deed.who), body.decision ?? body.code);
    }
    case 'clean up': {
      const pattern = '/v1/operations/{id}/retry-cleanup';
      const asked = { ...deed, kind: 'CLEANUP', method: 'POST', path: `${path}/retry-cleanup`, pattern } as const;
      return ask(real, vm, { ...asked, cleansUp: id, body: {} });
    }
    case 'settle': {
      const body = { outcome: deed.outcome, reason: 'seen at the console' };
      const answer = await real.api.send(real.api.tokens.admin, 'POST', `${path}/settle`, { body });
      return (later) => {
        const code = settle(later, here(later), deed.outcome);
        return differs([code === null ? 202 : 409, code], [answer.status, answer.body.code ?? null]);
      };
    }
    case 'lose sight of': {
      await setOutcomeKnown(db, id, false, 'a test');
      return (later) => {
        const mine = here(later);
        if (mine.state === 'RUNNING') mine.state = 'UNKNOWN_OUTCOME';
        return undefined;
      };
    }
    default:
      return runs(model, real, deed, operation);
  }
}

/** What a run does, or somebody who has found out that it is lost. */
async function runs(
  model: Model,
  real: Real,
  deed: Extract<Deed, { run: Which }>,
  operation: Operation,
): Promise<Follow> {
  const { db } = real.api;
  const { id } = operation;
  const here = (later: Model) => later.operations.find((candidate) => candidate.id === id) as Operation;
  const run = runOf(model, operation, deed.run);
  switch (deed.deed) {
    case 'bind': {
      const bound = await bindRun(db, id, run);
      return (later) => {
        const mine = here(later);
        if (isOpen(mine) && mine.run === null && run.workflowId === workflowOf(later, mine)) {
          mine.run = run.runId;
          if (mine.state === 'REQUESTED') mine.state = 'RUNNING';
        }
        return differs(holds(mine, run.runId), bound !== undefined);
      };
    }
    case 'cross': {
      const crossed = await crossPointOfNoReturn(db, id, run.runId);
      return (later) => {
        const mine = here(later);
        const may = holds(mine, run.runId) && !mine.cancelled;
        if (may) mine.crossed = true;
        return differs(may, crossed);
      };
    }
    case 'leave behind': {
      const left = await leaveBehind(real, operation, run.runId);
      return (later) => {
        const mine = here(later);
        const may = holds(mine, run.runId) && mine.kind === 'DEPLOY' && !mine.leftover;
        if (may) mine.leftover = true;
        return differs(may, left);
      };
    }
    case 'finish': {
      const mayGoBack = !operation.crossed && !['BACKUP', 'RESTORE', 'CLEANUP'].includes(operation.kind);
      const error = deed.outcome === 'SUCCEEDED' ? null : { code: 'INTERNAL', message: 'a test' };
      const ending = { operationId: id, outcome: deed.outcome, error, unlessCancelled: mayGoBack };
      const state = await finishOperation(db, run.runId, ending);
      return (later) => {
        const mine = here(later);
        if (!holds(mine, run.runId)) {
          const told = mine.run === run.runId ? mine.state : undefined;
          return differs([told], [state]);
        }
        if (mine.cancelled && mayGoBack && deed.outcome === 'SUCCEEDED') return differs([null], [state]);
        end(later, mine, deed.outcome);
        return differs([deed.outcome], [state]);
      };
    }
    case 'hand over': {
      const lostRun = deed.run === 'own' ? operation.run : run.runId;
      const handedOver = await handOverInDatabase(db, id, lostRun, 'a test ended it');
      return (later) => {
        const mine = here(later);
        const may = isOpen(mine) && mine.run === lostRun;
        if (may) handOver(later, mine);
        return differs(may, handedOver);
      };
    }
  }
}

function runOf(model: Model, operation: Operation, which: Which): Run {
  const current = workflowOf(model, operation);
  const lost = operation.lost.at(-1);
  if (which === 'lost' && lost !== undefined) return lost;
  const runId = which === 'own' && operation.run !== null ? operation.run : randomUUID();
  return { workflowId: current, runId };
}

/** The run makes the VM, and cannot undo it. */
async function leaveBehind({ api: { db } }: Real, operation: Operation, runId: string): Promise<boolean> {
  if (operation.kind !== 'DEPLOY' || operation.leftover) return false;
  const key = { operationId: operation.id, name: 'CONFIGURE', managerId: null } as const;
  const made = await beginAttempt(db, key, { runId, direction: 'forward', settleMs: 0, activityAttempt: 1 });
  if (made === undefined) return false;
  if (!made.tooLate) await endAttempt(db, { ...key, runId, epoch: made.epoch }, { state: 'DONE', made: null });
  const undone = await beginAttempt(db, key, { runId, direction: 'undo', settleMs: 0, activityAttempt: 1 });
  if (undone === undefined) return false;
  const error = { code: 'HYPERVISOR_REFUSED', message: 'a test' };
  return endUndoAttempt(db, { ...key, runId, epoch: undone.epoch }, 'FAILED', error, true);
}
