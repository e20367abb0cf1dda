/**
 * How the routes ask for operations.
 * @module
 */
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

/**
 * Carries out requests for operations. Every function throws a HoldfastError where the request is refused: NOT_FOUND
 * for what another enterprise owns, VM_LOCKED, VM_STATE_NOT_ALLOWED, IDEMPOTENCY_KEY_REUSED …
 */
export interface OperationRequests {
  deploy(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  undeploy(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  powerOn(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  powerOff(request: VmRequest<EmptyBody>): Promise<RequestedOperation>;
  backup(request: VmRequest<BackupBody>): Promise<RequestedOperation>;
  restore(request: ResultRequest<RestoreBody>): Promise<RequestedOperation>;
  reconfigure(request: VmRequest<ReconfigureBody>): Promise<RequestedOperation>;
  /** Asks the backup system now, for 10 s at most. @throws HoldfastError CHECK_TIMED_OUT. */
  checkManager(managerId: string): Promise<StoredCheck>;
}
