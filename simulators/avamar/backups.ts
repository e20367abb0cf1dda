/**
 * `/api/v1/clients/{cid}/backups`: what can be restored, its expiry, and restores.
 * @module
 */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { backupView, backupWithCopies, copyView } from './backup-view.ts';
import { needClient } from './client-view.ts';
import { copiesOf, copyAt, deleteCopy, isListed, putCopy } from './copies.ts';
import { diskFile } from './entities.ts';
import type { AvamarEnv, Server } from './env.ts';
import { AvamarError, bodyOf, chosenFields, notFound, page, vendorEnum } from './spring.ts';
import type { Copy } from './replication-state.ts';
import { type Backup, type RestoreTarget, type RetentionTag, morefOf } from './state.ts';

const VmRestore = z.object({
  pluginNumber: z.number().int(),
  vcCid: z.string().optional(),
  vmEntityId: z.string().optional(),
  newVm: z
    .object({
      name: z.string().min(1),
      datacenter: z.string(),
      esx: z.string(),
      folderPath: z.string(),
      resourcePool: z.string(),
    })
    .optional(),
  powerMode: z.string().optional(),
  restoreConf: z.boolean().default(false),
  disks: z.array(z.object({ path: z.string(), newDataStore: z.string() })).optional(),
  encryption: vendorEnum(['HIGH', 'MEDIUM', 'NONE']).optional(),
  flags: z.array(z.object({ key: z.string(), value: z.string() })).optional(),
  instantRestore: z.boolean().optional(),
  proxy: z.string().optional(),
  restoreAsNewDisk: z.boolean().optional(),
  validate: z.boolean().optional(),
});

/** Epoch milliseconds (0: never) of a number, or of a date-time. The swagger calls the parameter a string and says no more. */
function expirationFrom(text: string): number {
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(at)) throw new AvamarError(400, `"${text}" is neither epoch milliseconds nor a date-time.`);
  return at;
}

const TAGS: Record<string, RetentionTag> = { D: 'DAILY', W: 'WEEKLY', M: 'MONTHLY', Y: 'YEARLY' };

/** Letters, as in the swagger's example of `Activity.retentionTags`; N for none. */
function tagsFrom(text: string): RetentionTag[] {
  if (!/^([DWMY]+|N)$/.test(text)) throw new AvamarError(400, `"${text}" is not made of D, W, M and Y, and not N.`);
  return Object.keys(TAGS).flatMap((letter) => (text.includes(letter) ? [TAGS[letter] as RetentionTag] : []));
}

/** A backup on this server, or its copy on a destination. */
type Found = { copy?: undefined; backup: Backup } | { copy: Copy; backup: Backup };

/** Reached by a client's id; `:cid` comes from the path under which it is mounted. */
export function backups(server: Server): Hono<AvamarEnv> {
  const { state, clock, engine } = server;
  const clientOf = (c: Context) => needClient(server, c.req.param('cid') ?? '');
  // With destId the number is the destination's own: ours, the swagger names the parameter only.
  const need = (c: Context): Found => {
    const { id } = clientOf(c);
    const number = c.req.param('number') ?? '';
    const destId = c.req.query('destId') ?? '';
    if (destId === '') {
      const backup = state.backups.get(`${id}/${number}`);
      if (backup === undefined || !isListed(backup, clock.now())) throw notFound('Backup', number);
      return { backup };
    }
    if (state.destinations.get(destId) === undefined) throw notFound('Destination server', destId);
    const copy = copyAt(state, id, destId, number);
    if (copy === undefined || !isListed(copy, clock.now())) throw notFound('Remote backup', number);
    return { copy, backup: copy.original };
  };
  const putBackup = (backup: Backup) => state.backups.put(`${backup.cid}/${backup.labelNumber}`, backup);
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const client = clientOf(c);
    const now = clock.now();
    const after = Date.parse(c.req.query('after') ?? '') || Number.NEGATIVE_INFINITY;
    const before = Date.parse(c.req.query('before') ?? '') || Number.POSITIVE_INFINITY;
    const copies = c.req.query('includeRemote') === 'true' ? copiesOf(state, client.id, now) : [];
    const listed: object[] = [];
    for (let number = client.lastLabelNumber; number > 0; number -= 1) {
      const known = state.backups.get(`${client.id}/${number}`);
      const local = known !== undefined && isListed(known, now) ? known : undefined;
      const own = copies.filter(({ original }) => original.labelNumber === String(number));
      const backup = local ?? own[0]?.original;
      if (backup === undefined || backup.creationTime <= after || backup.creationTime >= before) continue;
      listed.push(backupWithCopies(server, local, own));
    }
    return c.json(page(c, listed));
  });
  routes.get('/:number', (c) => {
    const { copy, backup } = need(c);
    return c.json(chosenFields(c, copy === undefined ? backupView(server, backup) : copyView(server, copy)));
  });
  routes.get('/:number/disks', (c) => {
    const { configuration } = need(c).backup;
    return c.json(
      configuration.disks.map(({ label, sizeGiB }) => ({
        label,
        filename: diskFile(configuration.name, label),
        datastore: 'simulated',
        capacity: sizeGiB * 1024 ** 3,
      })),
    );
  });
  routes.put('/:number/update-expiration', (c) => {
    const { copy, backup } = need(c);
    const expirationTime = expirationFrom(c.req.query('expiration') ?? '');
    if (copy === undefined) putBackup({ ...backup, expirationTime });
    else putCopy(state, { ...copy, expirationTime });
    return c.body(null, 200);
  });
  routes.put('/:number/update-retention-tags', (c) => {
    const { copy, backup } = need(c);
    const tags = tagsFrom(c.req.query('retention') ?? '');
    if (copy === undefined) putBackup({ ...backup, tags });
    else putCopy(state, { ...copy, original: { ...backup, tags } });
    return c.body(null, 200);
  });
  routes.delete('/:number/delete', (c) => {
    const { copy, backup } = need(c);
    if (copy === undefined) state.backups.delete(`${backup.cid}/${backup.labelNumber}`);
    else deleteCopy(state, copy);
    return c.body(null, 204);
  });
  routes.post('/:number/restore:vm', async (c) => {
    const client = clientOf(c);
    const { copy, backup } = need(c);
    const { pluginNumber, vcCid, vmEntityId, newVm, powerMode, restoreConf } = await bodyOf(c, VmRestore);
    if (vcCid !== undefined && vcCid !== state.vcenter().cid) throw notFound('Virtual center', vcCid);
    let target: RestoreTarget;
    if (newVm !== undefined) target = { kind: 'new', name: newVm.name };
    else if (vmEntityId !== undefined) {
      target = { kind: 'existing', moref: morefOf(vmEntityId), restoreConfiguration: restoreConf };
    } else throw new AvamarError(400, 'Name vmEntityId or newVm.');
    const activity = engine.restore(client, {
      user: c.var.caller.userName,
      pluginNumber,
      labelNumber: copy?.labelNumber ?? backup.labelNumber,
      target,
      ...(copy === undefined ? {} : { destId: copy.destId }),
      ...(powerMode === undefined ? {} : { powerMode }),
    });
    return c.json(activity.id);
  });
  return routes;
}
