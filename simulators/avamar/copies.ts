/**
 * Copies of backups on destination servers. A destination numbers what it receives by itself, for each client; an own
 * counter, and that it begins at 101, lets a client notice that took one number for the other.
 * @module
 */
import type { Copy } from './replication-state.ts';
import type { Backup, State } from './state.ts';

const FIRST_NUMBER = 101;

const keyOf = (cid: string, destId: string, labelNumber: string): string => `${cid}/${destId}/${labelNumber}`;

export const isListed = ({ expirationTime }: { expirationTime: number }, now: number): boolean =>
  expirationTime === 0 || expirationTime > now;

/** The copy that a destination has under its own number, expired or not. */
export const copyAt = (state: State, cid: string, destId: string, labelNumber: string): Copy | undefined =>
  state.copies.get(keyOf(cid, destId, labelNumber));

/** The copies of a client's backups that have not expired, of each destination the oldest first. */
export function copiesOf(state: State, cid: string, now: number): Copy[] {
  const last = state.clients.get(cid)?.lastCopyNumbers ?? {};
  return Object.entries(last).flatMap(([destId, lastNumber]) => {
    const found: Copy[] = [];
    for (let number = FIRST_NUMBER; number <= lastNumber; number += 1) {
      const copy = copyAt(state, cid, destId, String(number));
      if (copy !== undefined && isListed(copy, now)) found.push(copy);
    }
    return found;
  });
}

export function putCopy(state: State, copy: Copy): void {
  state.copies.put(keyOf(copy.original.cid, copy.destId, copy.labelNumber), copy);
}

export function deleteCopy(state: State, copy: Copy): void {
  state.copies.delete(keyOf(copy.original.cid, copy.destId, copy.labelNumber));
}

/** Keeps a copy under the destination's next number. */
export function addCopy(state: State, original: Backup, destId: string, expirationTime: number): void {
  const client = state.clients.get(original.cid);
  if (client === undefined) return;
  const number = (client.lastCopyNumbers?.[destId] ?? FIRST_NUMBER - 1) + 1;
  // The number first: a server that dies in between leaves a gap, never two copies under one number.
  state.clients.put(client.id, { ...client, lastCopyNumbers: { ...client.lastCopyNumbers, [destId]: number } });
  putCopy(state, { original, destId, labelNumber: String(number), expirationTime });
}
