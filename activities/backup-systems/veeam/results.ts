/**
 * The restore points that Veeam lists for VMs. A point tells no date of its removal, so dates are estimates.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import { type CopyRef, copyKey, type ListedVm, type ResultReport } from '../backup-system.ts';
import { linksOf } from './links.ts';
import { condition, entities } from './query.ts';
import { readIfThere } from './rest.ts';
import { estimatedExpiry } from './retention.ts';
import { guidOf, keptReference, urnKey } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { attribute, textOf, type XmlElement } from './xml.ts';

/** The location of every copy: a point and its files are one thing to the REST API. */
export const LOCAL = 'Local';

/** So many VMs are asked for with one call; an address must not become too long for the server. */
const VMS_PER_CALL = 10;

interface Point {
  readonly uid: string;
  readonly vmRef: string;
  readonly name: string;
  readonly createdAt: Date;
  /** Whether its files are in their place: until then it cannot be restored. */
  readonly isReady: boolean;
}

function pointOf(entity: XmlElement): Point | undefined {
  const uid = attribute(entity, 'UID');
  const vmRef = keptReference(textOf(entity, 'HierarchyObjRef'));
  const createdAt = new Date(textOf(entity, 'CreationTimeUTC') ?? Number.NaN);
  if (uid === undefined || vmRef === undefined || Number.isNaN(createdAt.getTime())) return undefined;
  const parents = linksOf(entity).filter(({ type }) => type === 'BackupFile' || type === 'RestorePoint');
  const isReady = parents.length > 0 && parents.every(({ rel }) => rel === 'Up');
  return { uid, vmRef, name: attribute(entity, 'Name') ?? uid, createdAt, isReady };
}

function resultOf({ config }: Veeam, point: Point, vm: ListedVm): ResultReport {
  const expiresAt = estimatedExpiry(config, vm.schedule, point.createdAt);
  return {
    vendorBackupId: point.uid,
    // As the record knows it, whatever the case of the answer.
    vendorVmRef: vm.vendorVmRef,
    name: point.name,
    createdAt: point.createdAt,
    sizeBytes: null,
    copies: [{ location: LOCAL, locationName: null, vendorId: point.uid, expiresAt, expiryEstimated: true }],
  };
}

/** The points of these VMs, ready or not. */
async function* pointsOf(
  { rest }: Veeam,
  context: CallContext,
  vmRefs: readonly string[],
  since: Date,
): AsyncGenerator<Point> {
  const wanted = [...new Set(vmRefs)];
  for (let at = 0; at < wanted.length; at += VMS_PER_CALL) {
    const some = wanted.slice(at, at + VMS_PER_CALL).map((ref) => condition('HierarchyObjRef', '==', ref));
    const isAll = since.getTime() <= 0;
    const filter = isAll ? some.join(',') : `(${some.join(',')});${condition('CreationTime', '>=', since)}`;
    const query = {
      type: 'VmRestorePoint',
      filter,
      sortAsc: 'CreationTime',
      purpose: 'list the restore points of virtual machines',
    } as const;
    for await (const entity of entities(rest, context, query)) {
      const point = pointOf(entity);
      if (point !== undefined && point.createdAt >= since) yield point;
    }
  }
}

/** The backups of these VMs that were made at or after that moment and can be restored. */
export async function* listResults(
  veeam: Veeam,
  context: CallContext,
  vms: readonly ListedVm[],
  since: Date,
): AsyncGenerator<ResultReport> {
  const byRef = new Map(vms.map((vm) => [urnKey(vm.vendorVmRef), vm]));
  for await (const point of pointsOf(
    veeam,
    context,
    [...byRef.values()].map((vm) => vm.vendorVmRef),
    since,
  )) {
    const vm = byRef.get(urnKey(point.vmRef));
    if (vm !== undefined && point.isReady) yield resultOf(veeam, point, vm);
  }
}

async function pointById({ rest }: Veeam, context: CallContext, uid: string): Promise<XmlElement | undefined> {
  const path = `/vmRestorePoints/${guidOf(uid) ?? encodeURIComponent(uid)}?format=Entity`;
  return (await readIfThere(rest, context, path, `look at the restore point ${uid}`))?.body;
}

/** One backup of the VM; `undefined` when it is not listed, or not ready yet. */
export async function result(
  veeam: Veeam,
  context: CallContext,
  vm: ListedVm,
  vendorBackupId: string,
): Promise<ResultReport | undefined> {
  const entity = await pointById(veeam, context, vendorBackupId);
  const point = entity && pointOf(entity);
  return point?.isReady === true ? resultOf(veeam, point, vm) : undefined;
}

/**
 * Which of these copies are there. A filter of the list by VM is documented nowhere, so a point that the list does not
 * show is asked for itself before it counts as gone.
 */
export async function listed(
  veeam: Veeam,
  context: CallContext,
  copies: readonly CopyRef[],
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  const refs = copies.map((copy) => copy.vendorVmRef);
  for await (const { uid } of pointsOf(veeam, context, refs, new Date(0))) there.add(urnKey(uid));
  const found = new Set<string>();
  for (const copy of copies) {
    const isThere = there.has(urnKey(copy.vendorId)) || (await pointById(veeam, context, copy.vendorId)) !== undefined;
    if (isThere) found.add(copyKey(copy));
  }
  return found;
}
