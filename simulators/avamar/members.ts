/**
 * Who belongs to a backup group: those that were put in or left out by hand, and those that its rule finds.
 * @module
 */
import { type Client, type Expression, type Group, type Rule, type State, isMachine } from './state.ts';

/** The operators by which a rule compares, as live servers name them. A regular expression has to fit the whole value: ours. */
const COMPARISONS: Record<string, (actual: string, value: string) => boolean> = {
  EQUALS: (actual, value) => actual === value,
  DOES_NOT_EQUAL: (actual, value) => actual !== value,
  CONTAINS: (actual, value) => actual.includes(value),
  DOES_NOT_CONTAIN: (actual, value) => !actual.includes(value),
  BEGINS_WITH: (actual, value) => actual.startsWith(value),
  ENDS_WITH: (actual, value) => actual.endsWith(value),
  MATCHES_REGULAR_EXPRESSION: (actual, value) => new RegExp(`^(?:${value})$`).test(actual),
};
export const OPERATORS = Object.keys(COMPARISONS);

const holds = ({ operatorName, value }: Expression, { vmName }: Client): boolean =>
  COMPARISONS[operatorName]?.(vmName, value) ?? false;

const isFoundBy = ({ matchType, expressions }: Rule, client: Client): boolean =>
  matchType === 'AND'
    ? expressions.every((expression) => holds(expression, client))
    : expressions.some((expression) => holds(expression, client));

/** The members of a group as they are now: a rule finds machines in the group's domain and below that nobody decided about. */
export function membersOf(state: State, group: Group): Group['members'] {
  const rule = group.ruleEnabled ? state.rules.get(String(group.ruleId)) : undefined;
  if (rule === undefined) return group.members;
  const decided = new Set(group.members.filter(({ joinType }) => joinType !== 'NOT_SELECTED').map(({ cid }) => cid));
  const below = group.domain === '/' ? '/' : `${group.domain}/`;
  const found = state.clients
    .values()
    .filter((client) => isMachine(client) && !client.retired && `${client.domainFqdn}/`.startsWith(below))
    .filter((client) => !decided.has(client.id) && isFoundBy(rule, client))
    .map(({ id }) => ({ cid: id, joinType: 'INCLUDED_BY_RULE' as const }));
  const foundIds = new Set(found.map(({ cid }) => cid));
  return [...group.members.filter(({ cid }) => !foundIds.has(cid)), ...found];
}

/** The ids of the clients that the group backs up. */
export const includedIn = (state: State, group: Group): string[] =>
  membersOf(state, group)
    .filter(({ joinType }) => joinType === 'INCLUDED_BY_USER' || joinType === 'INCLUDED_BY_RULE')
    .map(({ cid }) => cid);
