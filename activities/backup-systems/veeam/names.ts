/**
 * The name of a VM's job and the marker in its description. By the name a job is found again after a lost answer; by the
 * marker it is known to be Holdfast's.
 * @module
 */

/** The longest name that a clone of a job takes. */
export const LONGEST_JOB_NAME = 50;
const VM_ID_LENGTH = 36;
const PLACE = '{vmId}';

/** Why a pattern cannot name jobs; `undefined` when it can. */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.split(PLACE).length !== 2) return `write ${PLACE} once, where the id of the virtual machine goes`;
  const length = pattern.length - PLACE.length + VM_ID_LENGTH;
  if (length > LONGEST_JOB_NAME) {
    return `with an id of ${VM_ID_LENGTH} characters it would be ${length} characters long; a job takes ${LONGEST_JOB_NAME}`;
  }
  if (pattern.trim() !== pattern || /[^A-Za-z0-9 ._{}-]/.test(pattern)) {
    return 'write letters, digits, blanks, dots, hyphens and underscores';
  }
  return undefined;
}

/** The name of the VM's job. */
export function jobName(pattern: string, vmId: string): string {
  return pattern.replace(PLACE, vmId);
}

/** Whether a job of that name is one of the pattern's, whatever its VM. */
export function isJobName(pattern: string, name: string | undefined): boolean {
  const [before = '', after = ''] = pattern.split(PLACE);
  const id = name?.slice(before.length, name.length - after.length) ?? '';
  return name === `${before}${id}${after}` && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
}

/** What the description of the VM's job holds, and of no other. */
export function marker(vmId: string): string {
  return `[holdfast vm=${vmId}]`;
}

/** Whether a job with that description was made by Holdfast for the VM. */
export function isMarked(description: string | undefined, vmId: string): boolean {
  return description?.toLowerCase().includes(marker(vmId).toLowerCase()) ?? false;
}

/**
 * The description of the VM's job: the marker, and the template that it was cloned from. Anything else in a description
 * belongs to people and stays.
 */
export function description(vmId: string, templateName: string): string {
  return `${marker(vmId)} [template=${templateName}] Made by Holdfast for this virtual machine alone.`;
}

/**
 * Whether the job was cloned from another template than that of the policy. A description that was rewritten by a
 * person and names none says nothing.
 */
export function isOfOtherTemplate(description: string | undefined, policyCode: string): boolean {
  const text = description?.toLowerCase() ?? '';
  return text.includes('[template=') && !text.includes(`[template=${policyCode.toLowerCase()}]`);
}
