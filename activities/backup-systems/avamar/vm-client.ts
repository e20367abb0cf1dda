/**
 * A VM of a vCenter as a client of Avamar. The entity is `VirtualMachine:<MoRef>`; a VM that was deployed again is a
 * new entity and becomes a new client, while the old one keeps its backups.
 * @module
 */
import { z } from 'zod';
import type { CallContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import { lookAfter } from '../look-after.ts';
import { makeClient, unknownEnd } from './client-task.ts';
import type { AvamarConfig } from './config.ts';
import { isAbsent, refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** Avamar's own clients, and those that were retired: these keep their backups and can make no more. */
const RETIRED_DOMAINS = ['/MC_RETIRED', '/MC_SYSTEM'];
const isRetiredDomain = (domain: string): boolean => RETIRED_DOMAINS.some((one) => `${domain}/`.startsWith(`${one}/`));

const VCenter = z.object({ cid: z.string(), name: z.string(), domain: z.string() });
type VCenter = z.infer<typeof VCenter>;

const Entity = z.object({
  id: z.string(),
  name: z.string(),
  /** The client that stands for the entity; empty when there is none. */
  cid: z.string().nullish(),
  guestOS: z.string().nullish(),
  disks: z.array(z.object({ label: z.string().nullish(), filename: z.string().nullish() })).nullish(),
});
type Entity = z.infer<typeof Entity>;

const Client = z.object({ domainFqdn: z.string().nullish(), restoreOnly: z.boolean().nullish() });

/** A VM where Avamar sees it. */
export interface VmEntity {
  readonly entityId: string;
  readonly name: string;
  readonly vcenter: VCenter;
  /** The client that backs it up; one that was retired does not. */
  readonly cid: string | undefined;
  readonly pluginNumber: number;
  /** Files of the VM's disks by their labels. */
  readonly diskFiles: ReadonlyMap<string, string>;
}

/**
 * The VM's entity, looked for in every vCenter that Avamar knows.
 * @throws ExternalSystemError `REFUSED` when the VM is not in the hypervisor, no vCenter has it, or several have one of
 * that reference and none or more than one has its name: a MoRef is unique within one vCenter only.
 */
export async function vmEntity(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
): Promise<VmEntity> {
  if (vm.hypervisorRef === null) throw refused(`${vm.name} is not in the hypervisor, so Avamar cannot see it`);
  const entityId = `VirtualMachine:${vm.hypervisorRef}`;
  const vcenters: VCenter[] = [];
  const list = { path: '/virtualcenters', query: { domain: '/' }, purpose: 'list its vCenters' };
  for await (const vcenter of rest.items(context, { ...list, item: VCenter })) {
    if (!isRetiredDomain(vcenter.domain)) vcenters.push(vcenter);
  }

  let seen = await lookIn(rest, context, vcenters, entityId, vm.name);
  if (seen.length === 0) {
    // A VM that was created a moment ago may be missing from what Avamar remembers of the vCenter.
    for (const { cid, name } of vcenters) {
      const call = { method: 'POST', path: `/virtualcenters/${encodeURIComponent(cid)}/sync`, json: {} } as const;
      await rest.write(context, { ...call, purpose: `look at ${name} afresh`, answer: z.unknown() });
    }
    seen = await lookIn(rest, context, vcenters, entityId, vm.name);
  }
  const system = rest.manager.name;
  if (seen.length === 0) throw refused(`no vCenter of the backup system ${system} has ${vm.name} (${entityId})`);
  const named = vcenters.length === 1 ? seen : seen.filter(({ entity }) => entity.name === vm.name);
  const [found] = named;
  if (found === undefined || named.length > 1) {
    throw refused(
      `the backup system ${system} has several vCenters, and it cannot be told which of them has ${vm.name} ` +
        `(${entityId}): one virtual machine of that reference must have that name`,
    );
  }
  const { vcenter, entity } = found;
  const files = (entity.disks ?? []).map(({ label, filename }) => [label ?? '', filename ?? ''] as const);
  return {
    entityId,
    name: entity.name,
    vcenter,
    cid: await activeClient(rest, context, entity.cid, vm.name),
    pluginNumber: /windows/i.test(entity.guestOS ?? '') ? config.plugins.windows : config.plugins.linux,
    diskFiles: new Map(files.filter(([label, file]) => label !== '' && file !== '')),
  };
}

async function lookIn(
  rest: AvamarRest,
  context: CallContext,
  vcenters: readonly VCenter[],
  entityId: string,
  name: string,
): Promise<{ vcenter: VCenter; entity: Entity }[]> {
  const seen: { vcenter: VCenter; entity: Entity }[] = [];
  for (const vcenter of vcenters) {
    const path = `/virtualcenters/${encodeURIComponent(vcenter.cid)}/entities/${encodeURIComponent(entityId)}`;
    try {
      const call = { method: 'GET', path, purpose: `look for ${name} in ${vcenter.name}`, answer: Entity } as const;
      seen.push({ vcenter, entity: (await rest.read(context, call)).body });
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }
  return seen;
}

/** The client of an entity, unless it is none that makes backups. */
async function activeClient(
  rest: AvamarRest,
  context: CallContext,
  cid: string | null | undefined,
  name: string,
): Promise<string | undefined> {
  if (cid === null || cid === undefined || cid === '') return undefined;
  const call = {
    method: 'GET',
    path: `/clients/${encodeURIComponent(cid)}`,
    purpose: `look at the client of ${name}`,
  } as const;
  try {
    const { domainFqdn, restoreOnly } = (await rest.read(context, { ...call, answer: Client })).body;
    return restoreOnly === true || isRetiredDomain(domainFqdn ?? '') ? undefined : cid;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/**
 * The VM's entity with its client, which is made when there is none.
 * @param before the entity as it was found.
 * @throws ExternalSystemError `REFUSED` with Avamar's words when it will not have the VM as a client.
 */
export async function vmClient(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  before: VmEntity,
): Promise<VmEntity & { readonly cid: string }> {
  if (before.cid !== undefined) return { ...before, cid: before.cid };
  const look = () => vmEntity(rest, config, context, vm);
  let failure: unknown;
  try {
    const { entityId, vcenter } = before;
    const domain = config.clientDomain ?? vcenter.domain;
    await makeClient(rest, config, context, { name: before.name, entityId, vcenterCid: vcenter.cid, domain });
  } catch (error) {
    // Whatever the task said: what counts is whether the VM is a client now.
    failure = error;
  }
  const after = await (failure === undefined ? look() : lookAfter(failure, look));
  if (after.cid !== undefined) return { ...after, cid: after.cid };
  throw failure ?? unknownEnd(rest, `did not show ${vm.name} as a client after it had made it one`);
}

/**
 * The files of the chosen disks.
 * @throws ExternalSystemError `REFUSED` when Avamar sees no disk of a label.
 */
export function diskFiles(entity: VmEntity, labels: readonly string[]): string[] {
  return labels.map((label) => {
    const file = entity.diskFiles.get(label);
    if (file === undefined) throw refused(`Avamar sees no disk ${label} of ${entity.name}`);
    return file;
  });
}
