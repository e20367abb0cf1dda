/**
 * The plugin for Dell Avamar 19.x over its REST API.
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto';
import { AVAMAR } from '../../../domain/plugin-types.ts';
import type { BackupPlugin, BackupSystem, ManagerConnection } from '../backup-system.ts';
import { type ActivityList, activityList } from './activities.ts';
import { check, serverTime } from './check.ts';
import type { AvamarConfig } from './config.ts';
import { applySchedule, removeSchedule } from './protection.ts';
import { startReplication } from './replication-start.ts';
import { findSession } from './lost-starts.ts';
import { type AvamarRest, avamarRest } from './rest.ts';
import { listed, listResults, result } from './results.ts';
import { cancel, startBackup, startRestore } from './starts.ts';
import { vmClient, vmEntity } from './vm-client.ts';

/**
 * How long after a start its activity may first be listed. No number is documented; this is three times as long as
 * any call may last.
 */
const QUIET_PERIOD_MS = 60_000;

/** What is kept of a server from one call to the next: the login, and what was learned of its activities. */
interface Server {
  readonly rest: AvamarRest;
  readonly activities: ActivityList;
}

/**
 * The plugin. It keeps one login per manager for as long as it lives, since every attempt of an activity connects
 * anew; other credentials, endpoint or trust begin another.
 * @param options.clock the time of this machine.
 */
export function avamarPlugin(options: { readonly clock: () => Date; readonly config: AvamarConfig }): BackupPlugin {
  const key = randomBytes(32);
  const kept = new Map<string, { readonly of: string; readonly server: Server }>();
  const serverOf = (manager: ManagerConnection): Server => {
    const { name, endpoint, tls, credentials } = manager;
    const parts = [name, endpoint, tls, credentials?.user, credentials?.password.reveal()];
    // A digest, so that the password is not kept a second time.
    const of = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');
    const before = kept.get(manager.id);
    if (before?.of === of) return before.server;
    const rest = avamarRest(manager, options.clock);
    const server = { rest, activities: activityList(rest) };
    kept.set(manager.id, { of, server });
    return server;
  };
  return { type: AVAMAR.type, connect: (manager) => avamarSystem(serverOf(manager), options.config, options.clock) };
}

function avamarSystem({ rest, activities }: Server, config: AvamarConfig, clock: () => Date): BackupSystem {
  return {
    quietPeriodMs: QUIET_PERIOD_MS,
    check: (context, policyCodes, copied = []) => check(rest, config, clock, context, policyCodes, copied),
    serverTime: (context) => serverTime(rest, context),
    applySchedule: (context, vm, schedule, previous) => applySchedule(rest, config, context, vm, schedule, previous),
    removeSchedule: (context, vm, ref) => removeSchedule(rest, config, context, vm, ref),
    startBackup: (context, vm, how) => startBackup(rest, config, context, vm, how),
    startReplication: (context, vm, backup) => startReplication(rest, activities, config, context, vm, backup),
    startRestore: (context, vm, copy) => startRestore(rest, config, context, vm, copy),
    vmReference: async (context, vm) => {
      const entity = await vmEntity(rest, config, context, vm);
      return (await vmClient(rest, config, context, vm, entity)).cid;
    },
    findSession: (context, start) => findSession(rest, activities, context, start),
    sessions: (context, ids) => activities.reports(context, ids),
    sessionsSince: async (context, since) => (await activities.since(context, since)).map(({ report }) => report),
    cancel: (context, id) => cancel(rest, activities, context, id),
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
