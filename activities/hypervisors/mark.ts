/**
 * The mark that a machine bears of the VM that it is: a line of its annotation, which a backup keeps with the machine.
 * So a machine that a backup system has restored is known for what it is, whatever it is called.
 * @module
 */

const ANY_MARK = /\n?\[holdfast vm=[^\]\s]*\]/g;

/** The mark of a VM. */
export function markOf(vmId: string): string {
  return `[holdfast vm=${vmId}]`;
}

/** Whether the annotation bears the mark of that VM. */
export function bearsMark(annotation: string | undefined, vmId: string): boolean {
  return annotation?.includes(markOf(vmId)) === true;
}

/** The annotation with the mark of that VM, and of no other; what people have written stays. */
export function withMark(annotation: string | undefined, vmId: string): string {
  const words = withoutMark(annotation);
  return words === '' ? markOf(vmId) : `${words}\n${markOf(vmId)}`;
}

/** The annotation without a mark. */
export function withoutMark(annotation: string | undefined): string {
  return (annotation ?? '').replaceAll(ANY_MARK, '').trim();
}
