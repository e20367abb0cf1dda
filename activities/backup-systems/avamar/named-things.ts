/**
 * Things that Avamar keeps under a name: looked for before they are made, made once, looked for again when an answer
 * is lost, and removed only when their name says that they are ours.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

export interface Named {
  readonly id: string;
  readonly name: string;
}

/** What makes or changes a named thing. */
export interface NamedBody {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** A kind of named thing and where the API keeps it. */
export interface Kind<T extends Named> {
  readonly noun: string;
  readonly path: string;
  /** Where it is made and changed, when that is not `path`. */
  readonly writePath?: string;
  /** How a list is asked to go below a domain; the API has two words for it. */
  readonly below: Readonly<Record<string, string>>;
  readonly thing: z.ZodType<T>;
}

/**
 * All things of that kind whose name begins with the prefix.
 * @param match `EXACTLY`: whose name it is.
 */
export async function thingsNamed<T extends Named>(
  rest: AvamarRest,
  context: CallContext,
  kind: Kind<T>,
  prefix: string,
  match: 'BEGINS' | 'EXACTLY' = 'BEGINS',
): Promise<T[]> {
  const found = new Map<string, T>();
  const query = { domain: '/', ...kind.below, filter: `name==${prefix}${match === 'EXACTLY' ? '' : '*'}` };
  const call = { path: kind.path, query, purpose: `list the ${kind.noun}s of that name`, item: kind.thing };
  for await (const thing of rest.items(context, call)) {
    // The filter is the server's; what is meant is decided here.
    if (match === 'EXACTLY' ? thing.name === prefix : thing.name.startsWith(prefix)) found.set(thing.id, thing);
  }
  return [...found.values()];
}

/**
 * Makes the thing of that name be as wanted.
 * @param existing what was found under the VM's prefix.
 * @param same whether a thing is as `json` would make it.
 */
export async function ensureThing<T extends Named>(
  rest: AvamarRest,
  context: CallContext,
  kind: Kind<T>,
  existing: readonly T[],
  json: NamedBody,
  same: (thing: T) => boolean | Promise<boolean>,
): Promise<T> {
  const before = existing.find((thing) => thing.name === json.name);
  if (before !== undefined && (await same(before))) return before;
  const path = kind.writePath ?? kind.path;
  const how =
    before === undefined
      ? ({ method: 'POST', path, purpose: `create the ${kind.noun}` } as const)
      : ({
          method: 'PUT',
          path: `${path}/${encodeURIComponent(before.id)}`,
          purpose: `change the ${kind.noun}`,
        } as const);
  try {
    return (await rest.write(context, { ...how, json, answer: kind.thing })).body;
  } catch (error) {
    // Lost, or refused because an earlier attempt of ours has made it meanwhile: what is there now is the answer.
    if (!(error instanceof ExternalSystemError) || (error.kind !== 'NO_ANSWER' && error.kind !== 'REFUSED'))
      throw error;
    const look = async (): Promise<T | undefined> => {
      const now = (await thingsNamed(rest, context, kind, json.name, 'EXACTLY'))[0];
      return now !== undefined && (await same(now)) ? now : undefined;
    };
    const now = await lookAfter(error, look);
    if (now !== undefined) return now;
    throw error;
  }
}

/** Removes a thing; absent is success. */
export async function removeThing<T extends Named>(
  rest: AvamarRest,
  context: CallContext,
  kind: Kind<T>,
  thing: Named,
): Promise<void> {
  const path = `${kind.path}/${encodeURIComponent(thing.id)}`;
  try {
    const purpose = `remove the ${kind.noun} ${thing.name}`;
    await rest.write(context, { method: 'DELETE', path, purpose, answer: z.unknown() });
  } catch (error) {
    if (isAbsent(error)) return;
    const isLost = error instanceof ExternalSystemError && error.kind === 'NO_ANSWER';
    if (!isLost || (await lookAfter(error, () => isThere(rest, context, kind, thing.id)))) throw error;
  }
}

/** The thing of that id, whatever its name; `undefined` when it is not there. */
export async function thingById<T extends Named>(
  rest: AvamarRest,
  context: CallContext,
  kind: Kind<T>,
  id: string,
): Promise<T | undefined> {
  const path = `${kind.path}/${encodeURIComponent(id)}`;
  const call = { method: 'GET', path, purpose: `look for the ${kind.noun}`, answer: kind.thing } as const;
  try {
    return (await rest.read(context, call)).body;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Whether the thing of that id is there, whatever its name. */
export async function isThere<T extends Named>(
  rest: AvamarRest,
  context: CallContext,
  kind: Kind<T>,
  id: string,
): Promise<boolean> {
  return (await thingById(rest, context, kind, id)) !== undefined;
}
