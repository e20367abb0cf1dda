/**
 * Whether a backup system is still the one that we knew. A wrong endpoint must not expire a tenant's backups.
 * @module
 */
import { ApplicationFailure } from '@temporalio/activity';
import type { Database } from '../../db/connect.ts';
import { rememberIdentity } from '../../db/manager-checks.ts';
import type { CallContext } from '../calls.ts';
import type { ConnectedManager } from './managers.ts';

/**
 * Stores what the backup system calls itself, the first time that it is looked at.
 * @returns the manager with the identity that is known now.
 */
export async function learnIdentity(
  db: Database,
  manager: ConnectedManager,
  call: CallContext,
): Promise<ConnectedManager> {
  if (manager.identity !== null) return manager;
  const { identity } = await manager.system.check(call, []);
  if (identity !== null) await rememberIdentity(db, manager.id, identity);
  return { ...manager, identity };
}

/**
 * Refuses to believe any other backup system than the one that was looked at first, and one that does not say who it is.
 * @throws ApplicationFailure BACKUP_SYSTEM_CHANGED, which is not tried again.
 */
export async function requireSameSystem(manager: ConnectedManager, call: CallContext): Promise<void> {
  const { identity } = await manager.system.check(call, []);
  if (identity !== null && identity === manager.identity) return;
  const known = manager.identity ?? 'not known yet';
  const answers = identity === null ? 'does not say who it is' : `answers as ${identity}`;
  throw ApplicationFailure.nonRetryable(
    `${manager.name} is ${known} and now ${answers}; nothing was written`,
    'BACKUP_SYSTEM_CHANGED',
  );
}
