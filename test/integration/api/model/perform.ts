/**
 * Does a deed for real, to the VM or the operation that it means.
 * @module
 */
import type { Deed, Done, Real } from './deeds.ts';
import { create, request, requestAboutOperation } from './requests.ts';
import { isOpen, type Model, type Operation, type Vm } from './rules.ts';
import { run } from './runs.ts';

/** Whether there is something that the deed can be done to. */
export function isPossible(model: Model, deed: Deed): boolean {
  if (deed.deed === 'create') return model.vms.length < 5;
  if ('operation' in deed) return model.operations.length > 0;
  if (deed.deed === 'restore') return pick(model.vms, deed.vm)?.result != null;
  return model.vms.length > 0;
}

/** Does it, for real. */
export async function perform(model: Model, real: Real, deed: Deed): Promise<Done> {
  const what = JSON.stringify(deed);
  if (deed.deed === 'create') return { what, follow: await create(real, deed) };
  if ('vm' in deed) return { what, follow: await request(real, deed, pick(model.vms, deed.vm) as Vm) };
  const operation = pick(openFirst(model.operations), deed.operation) as Operation;
  const played = 'run' in deed || deed.deed === 'lose sight of';
  const follow = played ? run(model, real, deed, operation) : requestAboutOperation(model, real, deed, operation);
  return { what, follow: await follow };
}

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(1, list.length)];
}

/** Those that are still open come first, then the newest: a late run of an old operation is the rarer thing. */
function openFirst(operations: readonly Operation[]): Operation[] {
  const newest = operations.toReversed();
  return [...newest.filter(isOpen), ...newest.filter((operation) => !isOpen(operation))];
}
