/**
 * Where backups are copied to: a replication destination that is there, or the one that the configuration describes.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import type { AvamarConfig, ReplicationTarget } from './config.ts';
import { SCHEDULES } from './kinds.ts';
import { isThere } from './named-things.ts';
import { refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** The plug-in that copies backups (swagger, example of `DestinationServerDTO.pluginNumber`). */
export const REPLICATE_PLUGIN = 1008;
/** Avamar's own schedule for replications (swagger, example of a replication group). */
const DEFAULT_SCHEDULE_ID = 'Default:REPL_SCHEDULEID';

/** `DestinationServer` of the swagger; only what is used. The list is no page. */
const Destination = z.object({ id: z.string(), name: z.string() });
const PATH = '/replication/destinations';

/** Where copies go, found before the first write. */
export interface DestinationPlan {
  /** `undefined`: it is still to be made, as `target` says. */
  readonly destinationId: string | undefined;
  readonly target: ReplicationTarget;
  readonly encryption: string;
}

/** What copies are made with by schedule. */
export interface ReplicationPlan extends DestinationPlan {
  readonly scheduleId: string;
}

/** What the configuration says for a backup manager. A destination of its own brings its own way to make it. */
export function replicationTarget(config: AvamarConfig, managerName: string): ReplicationTarget {
  const { managers, ...shared } = config.replication;
  const own = managers[managerName] ?? {};
  const { create: _, ...withoutCreation } = shared;
  return { ...(own.destination === undefined ? shared : withoutCreation), ...own };
}

/**
 * Finds where copies go.
 * @throws ExternalSystemError `REFUSED` when that is not decided, with what to do.
 */
export async function plannedDestination(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
): Promise<DestinationPlan> {
  const target = replicationTarget(config, rest.manager.name);
  const destinationId = await findDestination(rest, context, target);
  return { destinationId, target, encryption: target.encryption ?? 'HIGH' };
}

/**
 * Finds where copies go, and by which schedule.
 * @throws ExternalSystemError `REFUSED` when that is not decided, or the schedule is not there; with what to do.
 */
export async function plannedReplication(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
): Promise<ReplicationPlan> {
  const plan = await plannedDestination(rest, config, context);
  const scheduleId = plan.target.schedule ?? DEFAULT_SCHEDULE_ID;
  if (!(await isThere(rest, context, SCHEDULES, scheduleId))) {
    throw refused(
      `the backup system ${rest.manager.name} has no schedule ${scheduleId} to copy backups by; ` +
        'write the id of one as replication.schedule in the configuration of the Avamar plugin',
    );
  }
  return { ...plan, scheduleId };
}

async function findDestination(
  rest: AvamarRest,
  context: CallContext,
  target: ReplicationTarget,
): Promise<string | undefined> {
  const all = await destinations(rest, context);
  const { destination: wanted, create } = target;
  const system = rest.manager.name;
  const found = all.filter(({ name }) => wanted === undefined || name === wanted);
  const [first] = found;
  if (first !== undefined && (wanted !== undefined || found.length === 1)) return first.id;
  if (wanted !== undefined && create !== undefined) return undefined;
  const names = all.length === 0 ? 'none' : all.map(({ name }) => name).join(', ');
  throw refused(
    wanted === undefined
      ? `it is not decided where the backup system ${system} copies backups to (its replication destinations: ${names}); ` +
          'write the name of one as replication.destination in the configuration of the Avamar plugin'
      : `the backup system ${system} has no replication destination ${wanted} (it has: ${names}); make it there, or ` +
          'write replication.create.flags in the configuration of the Avamar plugin',
  );
}

async function destinations(rest: AvamarRest, context: CallContext): Promise<z.infer<typeof Destination>[]> {
  const call = { method: 'GET', path: PATH, purpose: 'list its replication destinations' } as const;
  return (await rest.read(context, { ...call, answer: z.array(Destination) })).body;
}

/** The id of the plan's destination, which is made where there is none. */
export async function ensureDestination(
  rest: AvamarRest,
  context: CallContext,
  plan: DestinationPlan,
): Promise<string> {
  const { destinationId, target } = plan;
  if (destinationId !== undefined) return destinationId;
  const { destination: name = '', create } = target;
  const flags = Object.entries(create?.flags ?? {});
  const configFlags = flags.map(([flagId, value]) => ({
    flagId,
    name: flagId,
    value: value.reveal(),
    type: 'string',
    command: 'REPL_CONFIG',
    pluginNumber: REPLICATE_PLUGIN,
  }));
  const json = { name, encryption: plan.encryption, pluginNumber: REPLICATE_PLUGIN, configFlags };
  const call = { method: 'POST', path: PATH, json, purpose: `create the replication destination ${name}` } as const;
  try {
    return (await rest.write(context, { ...call, answer: Destination })).body.id;
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    const told = withoutValues(
      error,
      flags.map(([, value]) => value.reveal()),
    );
    // Lost, or refused because another attempt has made it meanwhile: what is there now is the answer.
    if (error.kind !== 'NO_ANSWER' && error.kind !== 'REFUSED') throw told;
    const now = await lookAfter(told, () => destinations(rest, context));
    const made = now.find((one) => one.name === name);
    if (made === undefined) throw told;
    return made.id;
  }
}

/** A refusal may repeat what it refuses: the values of the flags are secret, and so is an answer that holds one. */
function withoutValues(error: ExternalSystemError, values: readonly string[]): ExternalSystemError {
  // Also as it was sent; the longest first, since one may begin with another.
  const forms = values.flatMap((value) => [value, JSON.stringify(value).slice(1, -1)]);
  const longestFirst = forms.toSorted((a, b) => b.length - a.length);
  const hide = (text: string): string => longestFirst.reduce((shown, form) => shown.replaceAll(form, '[secret]'), text);
  const { kind, system, status, message, vendorMessage } = error;
  return new ExternalSystemError({
    kind,
    system,
    status,
    message: hide(message),
    vendorMessage: vendorMessage === undefined ? undefined : hide(vendorMessage),
  });
}
