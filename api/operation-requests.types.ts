/**
 * How the routes ask for operations.
 * @module
 */
import type { CancelAnswer } from '../db/cancellation.ts';
import type { StoredCheck } from '../db/columns.ts';
import type { Principal } from '../domain/privileges.ts';
import type { ChosenPolicy } from '../domain/schedules.ts';
import type { Hardware } from '../domain/virtual-machines.ts';

/** The key under which a client repeats a request without repeating its effect. */
export interface Idempotency {
  /** 1 to 255 visible characters. */
  readonly key: string;
  /** Method and path pattern: with the token, the scope of the key. */
  readonly route: string;
  /** SHA-256 of method, path and body, in hex. */
  readonly requestHash: string;
}

/** A request about a VM. The VM's tenancy is checked where the request is carried out, in SQL. */
export interface VmRequest<Body> {
  readonly principal: Principal;
  readonly vmId: string;
  readonly body: Body;
  readonly idempotency?: Idempotency | undefined;
}

/** A request about a backup result. */
export interface ResultRequest<Body> {
  readonly principal: Principal;
  readonly resultId: string;
  readonly body: Body;
  readonly idempotency?: Idempotency | undefined;
}

/** The operation that a request led to; `repeated`: an earlier request with the same key had begun it. */
export interface RequestedOperation {
  readonly operationId: string;
  readonly repeated: boolean;
}

export type EmptyBody = Readonly<Record<string, never>>;

export interface UndeployBody {
  /** Go on past a backup system that does not remove its schedule. Needs VAPP_FORCE_UNDEPLOY. */
  readonly forceUndeploy?: boolean | undefined;
}

export interface BackupBody {
  /** May be left out when the VM has a single policy. */
  readonly policyId?: string | undefined;
  readonly replication?: boolean | undefined;
}

export interface RestoreBody {
  /** May be left out: the copy is chosen among the listed ones. */
  readonly copyId?: string | undefined;
}

/** What a deployed VM shall be. */
export interface ReconfigureBody {
  readonly hardware: Hardware;
  readonly backupPolicies: readonly ChosenPolicy[];
}

/** A machine that runs already and shall become a VM. */
export interface RegisterBody {
  readonly name: string;
  /** For principals that belong to no enterprise. */
  readonly enterpriseId?: string | undefined;
  readonly datacenterId: string;
  /** What the hypervisor calls it. */
  readonly hypervisorRef: string;
}

/** A request that makes a VM of a machine. */
export type RegisterRequest = Omit<VmRequest<RegisterBody>, 'vmId'>;

/** A request about an operation. Its tenancy is checked where the request is carried out, in SQL. */
export interface OperationSubject {
  readonly principal: Principal;
  readonly operationId: string;
}

/** How an operation shall end. */
export interface SettleBody {
  readonly outcome: 'SUCCEEDED' | 'FAILED';
  /** 1 to 500 characters, for those who ask later. */
  readonly reason: string;
}

/**
 * Carries out requests for operations. Every function throws a HoldfastError where the request is refused: NOT_FOUND
 * for what another enterprise owns, VM_LOCKED, VM_STATE_NOT_ALLOWED, IDEMPOTENCY_KEY_REUSED …
 */
export interface OperationRequests {
  /** Inserts the VM and registers its machine. @throws HoldfastError HYPERVISOR_VM_IN_USE, VM_NAME_IN_USE. */
  register(request: RegisterRequest): Promise<RequestedOperation>;
  deploy(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  undeploy(request: VmRequest<UndeployBody>): Promise<RequestedOperation>;
  powerOn(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  powerOff(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  backup(request: VmRequest<BackupBody>): Promise<RequestedOperation>;
  restore(request: ResultRequest<RestoreBody>): Promise<RequestedOperation>;
  reconfigure(request: VmRequest<ReconfigureBody>): Promise<RequestedOperation>;
  /** Clears what the operation has left behind. @throws HoldfastError NOTHING_TO_CLEAN. */
  retryCleanup(request: OperationSubject & Pick<VmRequest<EmptyBody>, 'idempotency'>): Promise<RequestedOperation>;
  /** Cancels the operation where that can be done, and says what becomes of it. */
  cancel(request: OperationSubject): Promise<CancelAnswer>;
  /** Ends an operation whose outcome nobody can find out. @throws HoldfastError OPERATION_NOT_SETTLEABLE and others. */
  settle(request: OperationSubject & { readonly body: SettleBody }): Promise<void>;
  /** Asks the backup system now, for 10 s at most. @throws HoldfastError CHECK_TIMED_OUT. */
  checkManager(managerId: string): Promise<StoredCheck>;
}
