/**
 * What every call to another system shares: its context, its limits and its errors.
 * @module
 */

export { VENDOR_CALL_LIMIT_MS, WRITE_PERMISSION_MS, WRITE_SETTLED_MS } from '../domain/writes.ts';

/** Handed to every method of a port. */
export interface CallContext {
  /**
   * Aborted when the call shall stop. A read stops at once; a write that is on its way is waited for, since nobody
   * would know what became of it.
   */
  readonly signal: AbortSignal;
  /**
   * The fence check: resolves when this attempt may make one external write now, and throws when it may not. Call it
   * immediately before every write; the write must be on its way within 5 s.
   */
  readonly beforeWrite: () => Promise<void>;
  /** Tells that the call is alive and what it is doing, in words for a person. */
  readonly progress: (note: string) => void;
}

/**
 * What is known of writes that make something under a name. Such a thing may appear long after the answer was lost, also
 * when the process that asked for it has died: an absence means nothing until the vendor's settling time is over.
 */
export interface NamedWrites {
  /** Notes that a write of that name is about to be sent. */
  begin(name: string): Promise<void>;
  /** Notes what became of the writes of that name: the thing is there, or was certainly not made. */
  settle(name: string, outcome: 'FOUND' | 'ABSENT'): Promise<void>;
  /** How long ago one was begun of which nobody knows what became, in milliseconds; `undefined`: there is none. */
  unsettledFor(name: string): Promise<number | undefined>;
  /** The names that begin so, of writes that were begun and of which nobody knows what became. */
  unsettled(prefix: string): Promise<string[]>;
}

/** Handed to methods that make things under a name. */
export interface NamingContext extends CallContext {
  readonly namedWrites: NamedWrites;
}

/**
 * How a call to another system failed, which decides what is done about it:
 * - `REFUSED`: it understood and said no, for want of a right for example; the same call will be refused again.
 * - `LOGIN_REFUSED`: the credentials are not accepted.
 * - `UNREACHABLE`: no connection; nothing was done.
 * - `FAILED`: it answered that it failed, or is overloaded; trying again may help.
 * - `NO_ANSWER`: the request went out and no answer came: what became of it is unknown.
 */
export type FailureKind = 'REFUSED' | 'LOGIN_REFUSED' | 'UNREACHABLE' | 'FAILED' | 'NO_ANSWER';

/** A failed call to a hypervisor or a backup system. The message never holds a credential. */
export class ExternalSystemError extends Error {
  override readonly name = 'ExternalSystemError';
  readonly kind: FailureKind;
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** What the other system said, in its own words. */
  readonly vendorMessage: string | undefined;

  constructor(options: {
    readonly kind: FailureKind;
    readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
    readonly message: string;
    readonly status?: number | undefined;
    readonly vendorMessage?: string | undefined;
    readonly cause?: unknown;
  }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind;
    this.system = options.system;
    this.status = options.status;
    this.vendorMessage = options.vendorMessage;
  }

  /** Whether trying the same call again may help. A refused login may be mended by a rotation of credentials. */
  get transient(): boolean {
    return this.kind !== 'REFUSED';
  }
}
