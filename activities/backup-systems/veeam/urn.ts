/**
 * What the Enterprise Manager calls things: `urn:veeam:<Type>:<guid>` for its own, `urn:VMware:Vm:<root>.<MoRef>` for a
 * VM of a vCenter. The vendor's own texts spell the types in several ways, so they are compared without case.
 * @module
 */

const GUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;
const VMWARE_VM = /^urn:vmware:vm:([^.]+)\.(.+)$/i;

/** Whether two names are of the same thing. */
export function sameUrn(one: string | null | undefined, other: string | null | undefined): boolean {
  return one != null && other != null && one.toLowerCase() === other.toLowerCase();
}

/** The key of a name in a map: names of the same thing have the same. */
export function urnKey(urn: string): string {
  return urn.toLowerCase();
}

/** The GUID at the end of a URN, or inside a link; `undefined` when there is none. */
export function guidOf(urnOrHref: string | undefined): string | undefined {
  return urnOrHref === undefined ? undefined : GUID.exec(urnOrHref)?.[0];
}

/** What a job's schedule is called in a `ScheduleRef`: its GUID in one spelling. */
export function jobKey(jobUid: string): string {
  return (guidOf(jobUid) ?? jobUid).toLowerCase();
}

/** `urn:veeam:<type>:<guid>`. */
export function veeamUrn(type: string, guid: string): string {
  return `urn:veeam:${type}:${guid}`;
}

/** Whether it names a thing of that type, for example `RestoreSession`. */
export function isOfType(urn: string, type: string): boolean {
  return urn.toLowerCase().startsWith(`urn:veeam:${type.toLowerCase()}:`);
}

/** The parts of the reference of a VM of a vCenter; `undefined` for anything else. */
export function vmParts(
  reference: string | undefined,
): { readonly rootId: string; readonly moref: string } | undefined {
  const [, rootId, moref] = VMWARE_VM.exec(reference?.trim() ?? '') ?? [];
  return rootId === undefined || moref === undefined ? undefined : { rootId, moref };
}

/** The reference of a VM in the one spelling in which it is kept. */
export function vmReferenceOf(parts: { readonly rootId: string; readonly moref: string }): string {
  return `urn:VMware:Vm:${parts.rootId}.${parts.moref}`;
}

/** A reference from an answer in the one spelling in which it is kept; `undefined` when it is no VM of a vCenter. */
export function keptReference(reference: string | undefined): string | undefined {
  const parts = vmParts(reference);
  return parts === undefined ? undefined : vmReferenceOf(parts);
}
