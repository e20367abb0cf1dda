/**
 * The id of a backup: a label number is unique within its client only, so the client is part of it.
 * @module
 */

/** `<client id>/<label number>`. */
export function backupId(cid: string, labelNumber: string): string {
  return `${cid}/${labelNumber}`;
}

/** The client and label number of a backup id; a bare label number belongs to `cid`. */
export function partsOf(id: string, cid: string): { readonly cid: string; readonly labelNumber: string } {
  const slash = id.lastIndexOf('/');
  return slash < 0 ? { cid, labelNumber: id } : { cid: id.slice(0, slash), labelNumber: id.slice(slash + 1) };
}
