/**
 * The state of a simulator: named collections of plain values, kept on disk as a journal of changes.
 *
 * Every change is written to the file before the call returns, so an answer that was sent survives the death of the
 * process. A journal instead of rewriting the whole state keeps the price of a change independent of how much there is.
 * The death of the machine (power, disk) is not covered: nothing is forced to the platter.
 * @module
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Values by key, in the order of their first insertion. A value is replaced, never changed in place. */
export interface Collection<T> {
  get(key: string): T | undefined;
  put(key: string, value: T): T;
  delete(key: string): boolean;
  values(): T[];
  readonly size: number;
}

export interface Store {
  /** The collection of that name; the same one each time it is asked for. */
  collection<T>(name: string): Collection<T>;
  close(): void;
}

/** One line of the journal: collection, key, and the value (absent: deleted). */
type Change = { c: string; k: string; v?: unknown };

function readJournal(file: string): Map<string, Map<string, unknown>> {
  const collections = new Map<string, Map<string, unknown>>();
  if (!existsSync(file)) return collections;
  const lines = readFileSync(file, 'utf8').split('\n');
  for (const [index, line] of lines.entries()) {
    if (line === '') continue;
    let change: Change;
    try {
      change = JSON.parse(line) as Change;
    } catch (error) {
      // A process that died in the middle of a write leaves half a line at the end; nobody was answered about it.
      if (index === lines.length - 1) break;
      throw new Error(
        `${file}, line ${index + 1} is not a change of a simulator's state. Move the file away to start anew.`,
        {
          cause: error,
        },
      );
    }
    const values = collections.get(change.c) ?? new Map<string, unknown>();
    collections.set(change.c, values);
    if ('v' in change) values.set(change.k, change.v);
    else values.delete(change.k);
  }
  return collections;
}

function journalOf(collections: Map<string, Map<string, unknown>>): string {
  let text = '';
  for (const [c, values] of collections) for (const [k, v] of values) text += `${JSON.stringify({ c, k, v })}\n`;
  return text;
}

/**
 * Opens the state in `file`, or in memory alone without one.
 * @throws Error when the file holds something else than a simulator's state.
 */
export function openStore(file?: string): Store {
  const collections = file === undefined ? new Map<string, Map<string, unknown>>() : readJournal(file);
  let journal: number | undefined;
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    // What was read is written back compacted, so the file does not grow for ever and ends in a whole line.
    writeFileSync(`${file}.tmp`, journalOf(collections));
    renameSync(`${file}.tmp`, file);
    journal = openSync(file, 'a');
  }
  const write = (change: Change): void => {
    if (journal !== undefined) writeSync(journal, `${JSON.stringify(change)}\n`);
  };

  return {
    collection<T>(name: string): Collection<T> {
      const values = (collections.get(name) ?? new Map()) as Map<string, T>;
      collections.set(name, values);
      return {
        get: (key) => values.get(key),
        put(key, value) {
          write({ c: name, k: key, v: value });
          values.set(key, value);
          return value;
        },
        delete(key) {
          if (!values.has(key)) return false;
          write({ c: name, k: key });
          return values.delete(key);
        },
        values: () => [...values.values()],
        get size() {
          return values.size;
        },
      };
    },
    close() {
      if (journal !== undefined) closeSync(journal);
      journal = undefined;
    },
  };
}
