/**
 * What people and runs can do to virtual machines, and what the model is compared with.
 * @module
 */
import type { OperationKind, TerminalState } from '../../../../domain/operations.ts';
import type { TestApi } from '../test-api.ts';
import type { Model, Who } from './rules.ts';

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

/** What follows from a deed. */
export type Follow = Done['follow'];

/** How an answer differs from what it should be. */
export function differs(expected: unknown, actual: unknown): string | undefined {
  const [wanted, got] = [JSON.stringify(expected), JSON.stringify(actual)];
  return wanted === got ? undefined : `expected ${wanted}, got ${got}`;
}
