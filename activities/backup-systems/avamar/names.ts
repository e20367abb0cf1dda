/**
 * Names of what Holdfast makes in Avamar: the marker, the VM's id and what it is for. By its name a thing is found
 * again after a lost answer, and by its prefix all things of one VM are.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Subtype } from '../../../domain/policies.ts';

const CODE_LENGTH = 40;
const ONCE = 'replicate-';
const VM_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-/i;

/** What the names of all things made for a VM begin with. */
export function namePrefix(marker: string, vmId: string): string {
  return `${marker}-${vmId}-`;
}

/** What the names of the groups begin with that copy one backup of a VM. */
export function oncePrefix(marker: string, vmId: string): string {
  return `${namePrefix(marker, vmId)}${ONCE}`;
}

/** The name of the group that copies one backup. The client is part of it: a label number is unique within its client only. */
export function onceName(marker: string, vmId: string, cid: string, labelNumber: string): string {
  return `${oncePrefix(marker, vmId)}${cid}-${labelNumber}`;
}

/**
 * The label number of the backup of the client that a group copies alone.
 * @param fqdn the name of the group, with or without its domain; `undefined` when it is none of these groups.
 */
export function copiedAlone(fqdn: string | undefined, cid: string): string | undefined {
  const infix = `-${ONCE}${cid}-`;
  const at = fqdn?.lastIndexOf(infix) ?? -1;
  const labelNumber = fqdn?.slice(at + infix.length) ?? '';
  return at >= 0 && /^\d+$/.test(labelNumber) ? labelNumber : undefined;
}

/** Whether a name is one of a thing that was made for a VM, whichever. */
export function isMade(marker: string, name: string): boolean {
  return name.startsWith(`${marker}-`) && VM_ID.test(name.slice(marker.length + 1));
}

/**
 * The name of the schedule, retention, dataset and group of one backup of a policy; at most 113 characters. No limit is
 * documented; Avamar's administration refuses most punctuation in names, so a code with any is written with a digest.
 */
export function objectName(marker: string, vmId: string, policyCode: string, subtype: Subtype): string {
  return `${namePrefix(marker, vmId)}${plainCode(policyCode)}-${subtype.toLowerCase().replace('_', '-')}`;
}

function plainCode(code: string): string {
  const plain = code.replace(/[^A-Za-z0-9.-]/g, '-');
  if (plain === code && code.length <= CODE_LENGTH) return code;
  // Two codes that differ only in what was replaced or cut off must not share a name.
  const digest = createHash('sha256').update(code).digest('hex').slice(0, 8);
  return `${plain.slice(0, CODE_LENGTH - digest.length - 1)}-${digest}`;
}
