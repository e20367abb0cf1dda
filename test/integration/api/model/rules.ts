/**
 * What the rules say about virtual machines, their locks and their operations, without an API and without a database:
 * plain values that can be copied, so that a test can try in which order things that happened at once have happened.
 * @module
 */
import { OPERATION_ACTIONS } from '../../../../domain/events.ts';
import { type OperationKind, type TerminalState, workflowId } from '../../../../domain/operations.ts';
import { ALLOWED_FROM, type VmState } from '../../../../domain/virtual-machines.ts';

/** Who asks: an administrator of the enterprise that owns the VM, one of the other enterprise, or the platform. */
export type Who = 'owner' | 'stranger' | 'platform';

export interface Vm {
  readonly id: string;
  readonly name: string;
  readonly owner: 0 | 1;
  readonly policy: boolean;
  state: VmState;
  deleted: boolean;
  cpu: number;
  fence: number;
  holder: string | null;
  /** A backup that can be restored. */
  result: string | null;
  /** Operations of which something is left in the hypervisor. */
  leftBy: string[];
  readonly events: string[];
}

export interface Run {
  readonly workflowId: string;
  readonly runId: string;
}

export interface Operation {
  readonly id: string;
  readonly vmId: string;
  readonly kind: OperationKind;
  readonly cpu: number | null;
  state: 'REQUESTED' | 'RUNNING' | 'UNKNOWN_OUTCOME' | TerminalState;
  fence: number;
  recovery: number;
  run: string | null;
  readonly lost: Run[];
  crossed: boolean;
  cancelled: boolean;
  /** Something could not be undone in the hypervisor. */
  leftover: boolean;
  /** How an operator decided that it ends. */
  settled: TerminalState | null;
}

export interface Model {
  readonly vms: Vm[];
  readonly operations: Operation[];
  /** What was begun with an Idempotency-Key, by token, route and key. */
  readonly keys: Map<string, { readonly request: string; readonly operationId: string }>;
}

export function newModel(): Model {
  return { vms: [], operations: [], keys: new Map() };
}

export function vmOf(model: Model, operation: Operation): Vm {
  const vm = model.vms.find(({ id }) => id === operation.vmId);
  if (vm === undefined) throw new Error(`no virtual machine ${operation.vmId}`);
  return vm;
}

export function isOpen(operation: Operation): boolean {
  return ['REQUESTED', 'RUNNING', 'UNKNOWN_OUTCOME'].includes(operation.state);
}

/** The workflow that runs the operation now. */
export function workflowOf(model: Model, operation: Operation): string {
  const { name: vmName, id: vmId } = vmOf(model, operation);
  return workflowId({ vmName, vmId, kind: operation.kind, operationId: operation.id }, operation.recovery);
}

/** A request that may begin an operation. */
export interface Ask {
  readonly vmId: string;
  readonly who: Who;
  readonly kind: OperationKind;
  /** RECONFIGURE: the new number of processors. */
  readonly cpu: number | null;
  /** UNDEPLOY: whatever the backup system says. */
  readonly force: boolean;
  /** CLEANUP: the operation that has left something behind. */
  readonly cleansUp: string | null;
  readonly key: string | null;
  /** Token, method and path pattern: where the key counts. */
  readonly scope: string;
  /** What makes it the same request: method, path and body. */
  readonly request: string;
}

/** How a request is answered. */
export type Verdict =
  | { readonly status: 200 | 204 }
  | { readonly status: 202; readonly begins: OperationKind }
  | { readonly status: 202; readonly repeats: string }
  | { readonly status: number; readonly code: string; readonly holder?: string };

const REFUSED_STATE: Readonly<Partial<Record<OperationKind, string>>> = {
  DEPLOY: 'VM_DEPLOY_NOT_ALLOWED',
  UNDEPLOY: 'VM_UNDEPLOY_NOT_ALLOWED',
  BACKUP: 'BACKUP_REQUEST_VM_MUST_BE_DEPLOYED',
  RESTORE: 'BACKUP_RESTORE_VM_MUST_BE_DEPLOYED',
};

/** What a request for an operation is answered; changes nothing. */
export function judge(model: Model, ask: Ask): Verdict {
  const vm = model.vms.find(({ id }) => id === ask.vmId);
  if (vm === undefined) throw new Error(`no virtual machine ${ask.vmId}`);
  const seen = (!vm.deleted || ask.kind === 'CLEANUP') && ask.who !== 'stranger';
  const absent: Verdict = { status: 404, code: 'NOT_FOUND' };
  if (ask.kind === 'RESTORE') {
    if (ask.who === 'platform') return { status: 403, code: 'FORBIDDEN' };
    if (ask.who === 'stranger') return { status: 404, code: 'BACKUP_RESTORE_NOT_FOUND' };
  }
  const locked: Verdict | null = vm.holder === null ? null : { status: 409, code: 'VM_LOCKED', holder: vm.holder };
  if (ask.kind === 'RECONFIGURE') {
    // A draft is changed at once; keys are for what begins an operation.
    if (!seen) return absent;
    if (vm.state === 'NOT_ALLOCATED') return locked ?? { status: 200 };
  }
  const known = ask.key === null ? undefined : model.keys.get(`${ask.scope} ${ask.key}`);
  if (known !== undefined) {
    if (known.request === ask.request) return { status: 202, repeats: known.operationId };
    return { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' };
  }
  if (!seen) return absent;
  if (locked !== null) return locked;
  if (!ALLOWED_FROM[ask.kind].includes(vm.state)) {
    const code = vm.state === 'NOT_ALLOCATED' ? 'VM_NOT_DEPLOYED' : 'VM_STATE_NOT_ALLOWED';
    return { status: 409, code: REFUSED_STATE[ask.kind] ?? code };
  }
  if (ask.force && ask.who !== 'platform') return { status: 403, code: 'FORBIDDEN' };
  if (ask.cleansUp !== null && !vm.leftBy.includes(ask.cleansUp)) return { status: 409, code: 'NOTHING_TO_CLEAN' };
  if (ask.kind === 'BACKUP' && !vm.policy) return { status: 422, code: 'BACKUP_POLICY_AMBIGUOUS' };
  if (ask.kind === 'RESTORE' && vm.state !== 'OFF') {
    return { status: 409, code: 'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF' };
  }
  if (ask.kind === 'RECONFIGURE' && vm.cpu === ask.cpu && !vm.policy) {
    return { status: 422, code: 'NOTHING_TO_RECONFIGURE' };
  }
  return { status: 202, begins: ask.kind };
}

/** The operation of a request that was accepted is there, and has the lock. */
export function begin(model: Model, ask: Ask, operationId: string): void {
  const vm = model.vms.find(({ id }) => id === ask.vmId) as Vm;
  vm.fence += 1;
  vm.holder = operationId;
  vm.events.push(OPERATION_ACTIONS[ask.kind].begin);
  if (ask.key !== null) model.keys.set(`${ask.scope} ${ask.key}`, { request: ask.request, operationId });
  model.operations.push({
    id: operationId,
    vmId: vm.id,
    kind: ask.kind,
    cpu: ask.cpu,
    state: 'REQUESTED',
    fence: vm.fence,
    recovery: 0,
    run: null,
    lost: [],
    crossed: false,
    cancelled: false,
    leftover: false,
    settled: null,
  });
}

/** Whether the run holds the operation. */
export function holds(operation: Operation, runId: string): boolean {
  return isOpen(operation) && operation.run === runId;
}

/** The operation ends: its VM is free, and is what the operation made of it. */
export function end(model: Model, operation: Operation, outcome: TerminalState): void {
  const vm = vmOf(model, operation);
  operation.state = outcome;
  vm.holder = null;
  vm.events.push(OPERATION_ACTIONS[operation.kind].end);
  if (outcome === 'SUCCEEDED' && operation.cpu !== null) vm.cpu = operation.cpu;
  if (outcome === 'SUCCEEDED' && ['DEPLOY', 'UNDEPLOY'].includes(operation.kind)) vm.leftBy = [];
  if (operation.leftover) vm.leftBy.push(operation.id);
  vm.state = operation.leftover ? 'UNKNOWN' : stateAfter(operation.kind, vm.state, outcome);
}

function stateAfter(kind: OperationKind, before: VmState, outcome: TerminalState): VmState {
  if (outcome !== 'SUCCEEDED') return before;
  if (kind === 'DEPLOY' || kind === 'POWER_ON') return 'ON';
  if (kind === 'POWER_OFF') return 'OFF';
  return kind === 'UNDEPLOY' ? 'NOT_ALLOCATED' : before;
}

/** What a wish to cancel is answered, and what it does. */
export function cancel(model: Model, operation: Operation, who: Who): string {
  if (who === 'stranger') return 'NOT_FOUND';
  if (who === 'platform' && operation.kind === 'RESTORE') return 'FORBIDDEN';
  const begun = operation.run !== null || operation.recovery > 0;
  if (operation.cancelled) return begun ? 'ROLLING_BACK' : 'PREVENTED';
  if (!isOpen(operation) || operation.crossed) return 'TOO_LATE';
  if (begun && ['RESTORE', 'CLEANUP'].includes(operation.kind)) return 'CANCEL_NOT_SUPPORTED';
  operation.cancelled = true;
  vmOf(model, operation).events.push('CANCEL_REQUESTED');
  if (begun) return 'ROLLING_BACK';
  end(model, operation, 'CANCELLED');
  return 'PREVENTED';
}

/** What an operator who decides how an operation ends is answered, and what that does. */
export function settle(model: Model, operation: Operation, outcome: 'SUCCEEDED' | 'FAILED'): string | null {
  if (operation.settled === outcome) return null;
  if (!isOpen(operation)) return 'OPERATION_ENDED';
  if (operation.state !== 'UNKNOWN_OUTCOME') return 'OPERATION_NOT_SETTLEABLE';
  // No step is taken here, so only an undeploy that has begun to destroy the VM can be said to have succeeded.
  const possible = operation.kind === 'UNDEPLOY' && operation.crossed;
  if (outcome === 'SUCCEEDED' && !possible) return 'OPERATION_NOT_SETTLEABLE';
  operation.settled = outcome;
  vmOf(model, operation).events.push('SETTLE_REQUESTED');
  end(model, operation, outcome);
  return null;
}

/** The operation is taken from a run that was lost. */
export function handOver(model: Model, operation: Operation): void {
  const vm = vmOf(model, operation);
  if (operation.run !== null) operation.lost.push({ workflowId: workflowOf(model, operation), runId: operation.run });
  operation.run = null;
  operation.recovery += 1;
  operation.fence += 1;
  vm.fence += 1;
  vm.events.push('RUN_LOST');
}
