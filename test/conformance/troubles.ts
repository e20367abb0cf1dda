/**
 * The troubles that a call can meet, each with the places where it strikes and what a truthful plugin may say then.
 * @module
 */
import { ExternalSystemError, type FailureKind } from '../../activities/calls.ts';
import type { Call, Trouble } from './wire.ts';

/** One place where a trouble strikes: it names the calls that it hits. */
export interface Place {
  readonly named: string;
  readonly fits: (call: Call) => boolean;
  readonly times: number;
}

export interface TroubleRow {
  readonly name: string;
  /** `GONE`: nobody listens from the beginning. */
  readonly what: Trouble | 'GONE';
  /** Where it strikes, from the calls of a run in which nothing went wrong. */
  readonly places: (healthy: readonly Call[]) => Place[];
  /** Whether it strikes writes, which is tried in every scenario anew. */
  readonly strikesWrites: boolean;
  /** How a call may fail then; without any, it has to succeed. */
  readonly mayFail: readonly FailureKind[];
}

/** The first write of each kind, and the last of all. */
const eachWrite = (healthy: readonly Call[]): Place[] => {
  const writes = healthy.filter(({ write }) => write !== undefined);
  return writes
    .filter(
      (call, index) => index === writes.length - 1 || writes.findIndex(({ kind }) => kind === call.kind) === index,
    )
    .map(({ write, kind }) => ({ named: `write ${write}, ${kind}`, fits: (call) => call.write === write, times: 1 }));
};

const eachKind =
  (isMeant: (call: Call) => boolean) =>
  (healthy: readonly Call[]): Place[] =>
    [...new Set(healthy.filter(isMeant).map(({ kind }) => kind))].map((kind) => ({
      named: kind,
      fits: (call) => call.kind === kind,
      times: 1,
    }));

const allCalls = (healthy: readonly Call[]): Place[] =>
  healthy.length === 0 ? [] : [{ named: 'every call', fits: () => true, times: Number.POSITIVE_INFINITY }];

/** The lists that came in several pages. */
const laterPages = (healthy: readonly Call[]): Place[] => {
  const isPaged = ({ list, path }: Call) => healthy.some((other) => other.list === list && other.path !== path);
  const paged = eachKind((call) => call.method === 'GET' && isPaged(call))(healthy);
  return paged.map((place) => ({ ...place, times: Number.POSITIVE_INFINITY }));
};

const once = (): Place[] => [{ named: 'the first call', fits: () => true, times: 1 }];

/** Every trouble of the wire but `REDIRECTED` and `FORBIDDEN`, which have tests of their own. */
export const TROUBLES: readonly TroubleRow[] = [
  { name: 'not there', what: 'GONE', places: once, strikesWrites: false, mayFail: ['UNREACHABLE'] },
  { name: 'request lost', what: 'REQUEST_LOST', places: eachWrite, strikesWrites: true, mayFail: ['NO_ANSWER'] },
  { name: 'answer lost', what: 'ANSWER_LOST', places: eachWrite, strikesWrites: true, mayFail: ['NO_ANSWER'] },
  { name: 'gone after', what: 'GONE_AFTERWARDS', places: eachWrite, strikesWrites: true, mayFail: ['NO_ANSWER'] },
  {
    name: 'said to fail',
    what: 'SAID_TO_FAIL',
    places: eachWrite,
    strikesWrites: true,
    mayFail: ['FAILED', 'NO_ANSWER'],
  },
  {
    name: 'overloaded',
    what: 'OVERLOADED',
    places: eachKind(() => true),
    strikesWrites: false,
    mayFail: ['FAILED', 'NO_ANSWER'],
  },
  {
    name: 'cut short',
    what: 'CUT_SHORT',
    places: eachKind(({ isLogin }) => !isLogin),
    strikesWrites: false,
    mayFail: ['UNREACHABLE', 'FAILED', 'NO_ANSWER'],
  },
  // What an ended login took with it (a task that only it could see) is unknown; anything else is asked again.
  {
    name: 'login ended',
    what: 'LOGIN_ENDED',
    places: eachKind(({ isLogin }) => !isLogin),
    strikesWrites: false,
    mayFail: ['NO_ANSWER'],
  },
  { name: 'slow', what: 'SLOW', places: allCalls, strikesWrites: false, mayFail: [] },
  { name: 'byte order mark', what: 'BYTE_ORDER_MARK', places: allCalls, strikesWrites: false, mayFail: [] },
  { name: 'page again', what: 'SAME_PAGE_AGAIN', places: laterPages, strikesWrites: false, mayFail: ['FAILED'] },
];

/**
 * Whether the plugin told the truth about a call that failed.
 * @returns what is wrong, or `undefined`.
 */
export function untruth(row: TroubleRow, failure: unknown): string | undefined {
  if (failure === undefined) return undefined;
  if (!(failure instanceof ExternalSystemError))
    return `it threw ${failure instanceof Error ? failure.message : 'something'}`;
  if (row.mayFail.includes(failure.kind)) return undefined;
  return `it said ${failure.kind}: ${failure.message}`;
}
