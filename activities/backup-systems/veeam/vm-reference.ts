/**
 * What Veeam calls a VM: the id of its vCenter in Veeam and the VM's MoRef. The vCenter's id is asked of the inventory;
 * version 12 may tell another one there than in references, so a reference that the server knows is believed first.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import { failure, refused } from './refusal.ts';
import { entities } from './query.ts';
import { readIfThere } from './rest.ts';
import { guidOf, keptReference, sameUrn, vmParts, vmReferenceOf } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { shown } from './waiting.ts';
import { attribute, descendants, textOf } from './xml.ts';

interface VCenter {
  readonly name: string;
  readonly rootId: string;
  readonly uid: string;
}

/** A VM as a vCenter of Veeam's knows it. */
interface Seen {
  readonly reference: string;
  readonly name: string | undefined;
}

/** Kinds of hosts whose VMs have MoRefs. */
const VMWARE_HOSTS: ReadonlySet<string> = new Set(['vc', 'esx', 'esxi']);

/**
 * The VM's reference, as it stands in jobs, sessions and restore points.
 * @throws ExternalSystemError `REFUSED` when the VM is not in the hypervisor, Veeam has no vCenter, or it cannot be told
 * which of several has the VM: a MoRef is unique within one vCenter only. `FAILED` when none of several has seen it yet.
 */
export async function vmReference(veeam: Veeam, context: CallContext, vm: ProtectedVm): Promise<string> {
  const { rest, config } = veeam;
  const moref = vm.hypervisorRef;
  if (moref === null) throw refused(`${vm.name} is not in the hypervisor, so Veeam cannot see it`);
  const known = vm.vendorRefs.map(keptReference).find((reference) => sameUrn(vmParts(reference)?.moref, moref));
  if (known !== undefined) return known;

  const vcenters = await vcentersOf(veeam, context);
  const [only, ...others] = vcenters;
  const look = async (): Promise<Seen[] | undefined> => {
    const seen: Seen[] = [];
    for (const vcenter of vcenters) {
      const item = await lookedUp(veeam, context, vcenter, moref, vm.name);
      if (item !== undefined) seen.push(item);
    }
    const trusted = others.length === 0 ? seen : certainlyIts(vm, seen);
    return trusted.length === 0 ? undefined : trusted;
  };
  // Veeam may not have seen a new VM for minutes. Of its only vCenter the reference is known all the same.
  const seen = await shown(context, config.includeTimeoutSeconds, look);
  if (seen === undefined && only !== undefined && others.length === 0) {
    return vmReferenceOf({ rootId: only.rootId, moref });
  }
  const at = `the backup system ${rest.manager.name}`;
  const names = vcenters.map(({ name }) => name).join(', ');
  const advice = "name the vCenter in the plugin's configuration (vcenter)";
  if (seen === undefined) {
    throw failure(
      'FAILED',
      `${at} does not know ${vm.name} (${moref}) in any of its vCenters (${names}) yet; ${advice}`,
    );
  }
  const [found] = seen;
  if (found !== undefined && seen.length === 1) return found.reference;
  throw refused(`${at} has several vCenters (${names}), and more than one has ${vm.name} (${moref}); ${advice}`);
}

/**
 * Of the machines with the VM's MoRef in several vCenters those that can be the VM. One that is seen in a single vCenter
 * proves nothing: the VM's own may not have shown it yet, and another one has a machine of somebody else with the same
 * MoRef. So it has the VM's name or, where it was restored under another one, is where the VM has been before.
 */
function certainlyIts(vm: ProtectedVm, seen: readonly Seen[]): Seen[] {
  const named = seen.filter(({ name }) => name === vm.name);
  if (named.length > 0) return named;
  const root = (reference: string): string | undefined => vmParts(reference)?.rootId.toLowerCase();
  const before = new Set(vm.vendorRefs.map(root));
  return seen.filter(({ reference }) => before.has(root(reference)));
}

async function vcentersOf(veeam: Veeam, context: CallContext): Promise<VCenter[]> {
  const { rest, config } = veeam;
  const all: VCenter[] = [];
  const query = { type: 'HierarchyRoot', purpose: 'list its vCenters' } as const;
  for await (const root of entities(rest, context, query)) {
    const uid = attribute(root, 'UID') ?? '';
    const rootId = textOf(root, 'HierarchyRootId') ?? guidOf(uid);
    if (rootId === undefined || !VMWARE_HOSTS.has(textOf(root, 'HostType')?.toLowerCase() ?? '')) continue;
    all.push({ name: attribute(root, 'Name') ?? '', rootId, uid });
  }
  const chosen = config.vcenter?.toLowerCase();
  const vcenters = chosen === undefined ? all : all.filter(({ name }) => name.toLowerCase() === chosen);
  if (vcenters.length > 0) return vcenters;
  const wanted = config.vcenter === undefined ? 'no vCenter' : `no vCenter ${config.vcenter}`;
  throw refused(`the backup system ${rest.manager.name} knows ${wanted}, so it sees no virtual machine`);
}

/** The VM where the server knows it below that vCenter: by its reference, else by its name and MoRef. */
async function lookedUp(
  { rest }: Veeam,
  context: CallContext,
  vcenter: VCenter,
  moref: string,
  name: string,
): Promise<Seen | undefined> {
  const built = vmReferenceOf({ rootId: vcenter.rootId, moref });
  const ways = [
    `hierarchyRef=${encodeURIComponent(built)}`,
    `host=${encodeURIComponent(vcenter.uid)}&name=${encodeURIComponent(name)}&type=Vm`,
  ];
  for (const way of ways) {
    const answer = await readIfThere(rest, context, `/lookup?${way}`, `look for ${name} in ${vcenter.name}`);
    for (const item of answer === undefined ? [] : descendants(answer.body, 'HierarchyItem')) {
      const reference = keptReference(textOf(item, 'ObjectRef'));
      if (reference === undefined || !sameUrn(vmParts(reference)?.moref, moref)) continue;
      return { reference, name: textOf(item, 'ObjectName') };
    }
  }
  return undefined;
}
