/**
 * Rules that schedules, retentions, datasets and groups share. That names are unique in a domain, that built-in objects
 * stay as they are, and that a used object cannot go, is the product's behaviour; the status 400 for it is ours.
 * @module
 */
import { AvamarError } from './spring.ts';

type Named = { id: string | number; name: string; domainFqdn?: string; domain?: string };

const domainOf = ({ domainFqdn, domain }: Named): string => domainFqdn ?? domain ?? '/';

/** @throws AvamarError when another object than `exceptId` has the name in that domain. */
export function refuseDuplicate(
  kind: string,
  objects: Named[],
  name: string,
  domain: string,
  exceptId?: string | number,
): void {
  const other = objects.find((object) => object.name === name && domainOf(object) === domain && object.id !== exceptId);
  if (other !== undefined) {
    throw new AvamarError(400, `${kind} ${name} already exists in ${domain}.`, 'DuplicateNameException');
  }
}

/** @throws AvamarError for a built-in object. */
export function refuseReadOnly<T extends { name: string; readOnly: boolean }>(kind: string, object: T): T {
  if (object.readOnly) throw new AvamarError(400, `${kind} ${object.name} is read only.`, 'ReadOnlyException');
  return object;
}

/** @throws AvamarError when a group uses the object. */
export function refuseUsed<F extends 'scheduleId' | 'retentionId' | 'datasetId'>(
  kind: string,
  id: string,
  groups: ({ name: string } & Record<F, string>)[],
  field: F,
): void {
  const user = groups.find((group) => group[field] === id);
  if (user !== undefined)
    throw new AvamarError(400, `${kind} ${id} is used by group ${user.name}.`, 'ObjectInUseException');
}
