/**
 * The plugin for Dell Avamar 19.x over its REST API.
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AVAMAR } from '../../../domain/plugin-types.ts';
import type { BackupPlugin, BackupSystem, ManagerConnection } from '../backup-system.ts';
import { session, sessions, sessionsSince } from './activities.ts';
import { check, serverTime } from './check.ts';
import type { AvamarConfig } from './config.ts';
import { applySchedule, removeSchedule } from './protection.ts';
import { isAbsent, refused } from './refusal.ts';
import { type AvamarRest, avamarRest } from './rest.ts';
import { listed, listResults, result } from './results.ts';
import { findSession, startBackup, startRestore } from './starts.ts';
import { vmClient, vmEntity } from './vm-client.ts';

/**
 * How long after a start its activity may first be listed. No number is documented; this is three times as long as
 * any call may last.
 */
const QUIET_PERIOD_MS = 60_000;

/**
 * The plugin. It keeps one login per manager for as long as it lives, since every attempt of an activity connects
 * anew; other credentials, endpoint or trust begin another.
 * @param options.clock the time of this machine.
 */
export function avamarPlugin(options: { readonly clock: () => Date; readonly config: AvamarConfig }): BackupPlugin {
  const key = randomBytes(32);
  const kept = new Map<string, { readonly of: string; readonly rest: AvamarRest }>();
  const restOf = (manager: ManagerConnection): AvamarRest => {
    const { name, endpoint, tls, credentials } = manager;
    const parts = [name, endpoint, tls, credentials?.user, credentials?.password.reveal()];
    // A digest, so that the password is not kept a second time.
    const of = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');
    const before = kept.get(manager.id);
    if (before?.of === of) return before.rest;
    const rest = avamarRest(manager, options.clock);
    kept.set(manager.id, { of, rest });
    return rest;
  };
  return { type: AVAMAR.type, connect: (manager) => avamarSystem(restOf(manager), options.config, options.clock) };
}

function avamarSystem(rest: AvamarRest, config: AvamarConfig, clock: () => Date): BackupSystem {
  return {
    quietPeriodMs: QUIET_PERIOD_MS,
    check: (context, policyCodes) => check(rest, clock, context, policyCodes),
    serverTime: (context) => serverTime(rest, context),
    applySchedule: (context, vm, schedule) => applySchedule(rest, config, context, vm, schedule),
    removeSchedule: (context, vm, ref) => removeSchedule(rest, config, context, vm, ref),
    startBackup: (context, vm, how) => startBackup(rest, config, context, vm, how),
    startReplication: () => Promise.reject(refused('replications are not offered')),
    startRestore: (context, vm, copy) => startRestore(rest, config, context, vm, copy),
    vmReference: async (context, vm) => {
      const entity = await vmEntity(rest, config, context, vm);
      return (await vmClient(rest, config, context, vm, entity)).cid;
    },
    findSession: (context, start) => findSession(rest, context, start),
    sessions: (context, ids) => sessions(rest, context, ids),
    sessionsSince: async (context, since) => (await sessionsSince(rest, context, since)).map(({ report }) => report),
    async cancel(context, id) {
      const path = `/activities/${encodeURIComponent(id)}/cancel`;
      const call = {
        method: 'POST',
        path,
        json: {},
        purpose: `cancel the activity ${id}`,
        answer: z.unknown(),
      } as const;
      try {
        // It answers whether it obeyed; an activity that has ended cannot, and says so when it is looked at.
        await rest.write(context, call);
      } catch (error) {
        if (isAbsent(error) && (await session(rest, context, id)) === undefined) return;
        throw error;
      }
    },
    listResults: (context, vms, since) =>
      listResults(
        rest,
        context,
        vms.map((vm) => vm.vendorVmRef),
        since,
      ),
    result: (context, vm, vendorBackupId) => result(rest, context, vm.vendorVmRef, vendorBackupId),
    listed: (context, copies) => listed(rest, context, copies),
  };
}
