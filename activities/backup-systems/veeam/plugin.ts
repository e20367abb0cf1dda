/**
 * The plugin for Veeam Backup & Replication over the REST API of its Enterprise Manager.
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto';
import { HoldfastError } from '../../../domain/errors.ts';
import { VEEAM } from '../../../domain/plugin-types.ts';
import type { BackupPlugin, BackupSystem, ManagerConnection } from '../backup-system.ts';
import { check, serverTime } from './check.ts';
import type { VeeamConfig } from './config.ts';
import { applySchedule, removeSchedule } from './protection.ts';
import { veeamRest } from './rest.ts';
import { cancel, findSession, startRestore } from './restores.ts';
import { listed, listResults, result } from './results.ts';
import { sessions, sessionsSince } from './sessions.ts';
import { emptyMemory, type Veeam } from './veeam.ts';
import { vmReference } from './vm-reference.ts';

/**
 * The plugin. It keeps one session per manager for as long as it lives, since every attempt of an activity connects
 * anew; other credentials, endpoint or trust begin another.
 * @param options.clock the time of this machine.
 */
export function veeamPlugin(options: { readonly clock: () => Date; readonly config: VeeamConfig }): BackupPlugin {
  const { clock, config } = options;
  const key = randomBytes(32);
  const kept = new Map<string, { readonly of: string; readonly veeam: Veeam }>();
  const veeamOf = (manager: ManagerConnection): Veeam => {
    const { name, endpoint, tls, credentials } = manager;
    const parts = [name, endpoint, tls, credentials?.user, credentials?.password.reveal()];
    // A digest, so that the password is not kept a second time.
    const of = createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');
    const before = kept.get(manager.id);
    if (before?.of === of) return before.veeam;
    const veeam = { rest: veeamRest(manager, clock), config, memory: emptyMemory(), clock };
    kept.set(manager.id, { of, veeam });
    return veeam;
  };
  return { type: VEEAM.type, connect: (manager) => veeamSystem(veeamOf(manager)) };
}

function veeamSystem(veeam: Veeam): BackupSystem {
  return {
    quietPeriodMs: veeam.config.quietPeriodSeconds * 1_000,
    check: (context, policyCodes) => check(veeam, context, policyCodes),
    serverTime: (context) => serverTime(veeam, context),
    applySchedule: (context, vm, schedule, previous) => applySchedule(veeam, context, vm, schedule, previous),
    removeSchedule: (context, vm, ref) => removeSchedule(veeam, context, vm, ref),
    async startBackup() {
      throw new HoldfastError(
        'BACKUP_ONDEMAND_NOT_SUPPORTED',
        `${VEEAM.name} makes backups by their schedule alone; one that is made now would push out a scheduled one`,
      );
    },
    async startReplication() {
      throw new HoldfastError('BACKUP_INVALID_REPLICATION_OPTION', `${VEEAM.name} is not asked for replications`);
    },
    startRestore: (context, vm, copy) => startRestore(veeam, context, vm, copy),
    vmReference: (context, vm) => vmReference(veeam, context, vm),
    findSession: (context, start) => findSession(veeam, context, start),
    sessions: (context, ids) => sessions(veeam, context, ids),
    sessionsSince: (context, since) => sessionsSince(veeam, context, since),
    cancel: (context, vendorSessionId) => cancel(veeam, context, vendorSessionId),
    listResults: (context, vms, since) => listResults(veeam, context, vms, since),
    result: (context, vm, vendorBackupId) => result(veeam, context, vm, vendorBackupId),
    listed: (context, copies) => listed(veeam, context, copies),
  };
}
