/**
 * The faults of the matrix.
 * @module
 */
import type { Point } from './workflows.ts';

/** How an operation may end after a fault. */
export type Consequence =
  /** Nothing of the operation was taken back by anybody: it must succeed. */
  | 'GOES_ON'
  /** Its run is lost: whoever carries it on may go forward or back. */
  | 'RUN_LOST'
  /** Somebody asked to cancel it: it must end as the answer said. */
  | 'CANCELLED';

/** What is struck. */
export type Group = 'worker' | 'frozen worker' | 'temporal' | 'database' | 'api' | 'runs';

export interface Fault {
  readonly name: string;
  readonly title: string;
  /** Where operations are when it strikes; one of these, by chance. */
  readonly points: readonly Point[];
  readonly consequence: Consequence;
  /** Faults of a group strike together, so they are tried in the same rounds. */
  readonly group: Group;
}

export const FAULTS = [
  {
    name: 'killed-before',
    title: 'worker killed before the effect',
    points: ['wire'],
    consequence: 'GOES_ON',
    group: 'worker',
  },
  {
    name: 'killed-answer-lost',
    title: 'worker killed after the effect, answer lost',
    points: ['answer'],
    consequence: 'GOES_ON',
    group: 'worker',
  },
  {
    name: 'killed-unrecorded',
    title: 'worker killed after the answer, not recorded',
    points: ['record'],
    consequence: 'GOES_ON',
    group: 'worker',
  },
  {
    name: 'killed-recorded',
    title: 'worker killed as the record is committed',
    points: ['record'],
    consequence: 'GOES_ON',
    group: 'worker',
  },
  {
    name: 'frozen',
    title: 'worker frozen for a minute, then woken',
    points: ['permit', 'record', 'answer', 'wire', 'begin'],
    consequence: 'GOES_ON',
    group: 'frozen worker',
  },
  {
    name: 'frozen-lost',
    title: 'worker frozen, its run terminated and carried on by another, then woken',
    points: ['permit', 'begin'],
    consequence: 'RUN_LOST',
    group: 'frozen worker',
  },
  {
    name: 'temporal-killed',
    title: 'Temporal killed',
    points: ['wire', 'answer', 'record'],
    consequence: 'GOES_ON',
    group: 'temporal',
  },
  {
    name: 'database-killed',
    title: 'PostgreSQL killed',
    points: ['wire', 'answer', 'permit', 'record'],
    consequence: 'GOES_ON',
    group: 'database',
  },
  {
    name: 'api-killed',
    title: 'API killed between commit and start',
    points: [],
    consequence: 'GOES_ON',
    group: 'api',
  },
  {
    name: 'terminated',
    title: 'run terminated',
    points: ['wire', 'answer', 'permit', 'record', 'begin'],
    consequence: 'RUN_LOST',
    group: 'runs',
  },
  {
    name: 'reset',
    title: 'run reset',
    points: ['wire', 'answer', 'permit', 'record', 'begin'],
    consequence: 'RUN_LOST',
    group: 'runs',
  },
  {
    name: 'cancelled',
    title: 'cancel',
    // Where an attempt begins it keeps its operation's row, and the request would only wait for that.
    points: ['wire', 'answer', 'permit', 'record'],
    consequence: 'CANCELLED',
    group: 'runs',
  },
] as const satisfies readonly Fault[];

export type FaultName = (typeof FAULTS)[number]['name'];

/** The fault of that name. @throws Error that names those that there are. */
export function faultNamed(name: string): Fault & { readonly name: FaultName } {
  const found = FAULTS.find((fault) => fault.name === name);
  if (found === undefined)
    throw new Error(`no fault "${name}"; there are ${FAULTS.map((fault) => fault.name).join(', ')}`);
  return found;
}
