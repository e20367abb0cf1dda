/**
 * What an attempt of a step knows of things that were made under a name, kept in the database.
 * @module
 */
import { beginNamedWrite, settleNamedWrite, unsettledNamedWrite, unsettledNames } from '../db/intents.ts';
import type { NamedWrites, NamingContext } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepAttempt } from './recorded-step.ts';

/** The context of an attempt whose call makes, or removes, things under a name in one backup system. */
export function namingCall(deps: Dependencies, attempt: StepAttempt, managerId: string): NamingContext {
  const write = (name: string) => ({ vmId: attempt.vm.id, managerId, name });
  const by = { operationId: attempt.operation.id, epoch: attempt.epoch };
  const namedWrites: NamedWrites = {
    begin: (name) => attempt.record((trx) => beginNamedWrite(trx, write(name), by)),
    settle: (name, outcome) => attempt.record((trx) => settleNamedWrite(trx, write(name), outcome)),
    unsettledFor: (name) => unsettledNamedWrite(deps.db, write(name)),
    unsettled: (prefix) => unsettledNames(deps.db, { vmId: attempt.vm.id, managerId, prefix }),
  };
  return { ...attempt.call, namedWrites };
}
