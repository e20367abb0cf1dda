/**
 * `/api/v1/clients/{cid}/backups`: what can be restored, its expiry, and restores.
 * @module
 */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { checkedBody } from '../kit/checked-body.ts';
import { fqdn, morefOf } from './activity-engine.ts';
import { needClient } from './client-view.ts';
import { diskFile } from './entities.ts';
import type { AvamarEnv, Server } from './env.ts';
import { pluginName } from './plugins.ts';
import { AvamarError, chosenFields, dateTime, notFound, page } from './spring.ts';
import type { Backup, RestoreTarget } from './state.ts';

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
});

/** Epoch milliseconds (0: never) of a number, or of a date-time. The swagger calls the parameter a string and says no more. */
function expirationFrom(text: string): number {
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(at)) throw new AvamarError(400, `"${text}" is neither epoch milliseconds nor a date-time.`);
  return at;
}

/** Reached by a client's id; `:cid` comes from the path under which it is mounted. */
export function backups(server: Server): Hono<AvamarEnv> {
  const { state, clock, engine } = server;
  const isListed = ({ expirationTime }: Backup): boolean => expirationTime === 0 || expirationTime > clock.now();
  const clientOf = (c: Context) => needClient(server, c.req.param('cid') ?? '');
  const needBackup = (c: Context): Backup => {
    const number = c.req.param('number') ?? '';
    const backup = state.backups.get(`${clientOf(c).id}/${number}`);
    if (backup === undefined || !isListed(backup)) throw notFound('Backup', number);
    return backup;
  };
  /** `BackupInfo`. The unit of its int64 times is not written down; milliseconds, as in its example of `name`. */
  const view = (backup: Backup) => {
    const client = state.clients.get(backup.cid);
    return {
      labelNumber: backup.labelNumber,
      name: backup.name,
      cid: backup.cid,
      clientName: client?.name,
      path: client === undefined ? '' : fqdn(client.domainFqdn, client.name),
      date: dateTime(backup.creationTime),
      creationTime: backup.creationTime,
      expirationTime: backup.expirationTime,
      location: 'Local',
      localMissing: false,
      server: 'Avamar',
      size: backup.sizeBytes,
      type: 'FULL',
      pluginNumber: backup.pluginNumber,
      pluginName: pluginName(backup.pluginNumber),
      retentionTags: { anySet: false, retentionTags: ['NONE'] },
      tierStatus: '',
      children: [],
    };
  };
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const client = clientOf(c);
    const after = Date.parse(c.req.query('after') ?? '') || Number.NEGATIVE_INFINITY;
    const before = Date.parse(c.req.query('before') ?? '') || Number.POSITIVE_INFINITY;
    const listed: Backup[] = [];
    for (let number = client.lastLabelNumber; number > 0; number -= 1) {
      const backup = state.backups.get(`${client.id}/${number}`);
      if (backup === undefined || !isListed(backup)) continue;
      if (backup.creationTime > after && backup.creationTime < before) listed.push(backup);
    }
    return c.json(page(c, listed.map(view)));
  });
  routes.get('/:number', (c) => c.json(chosenFields(c, view(needBackup(c)))));
  routes.get('/:number/disks', (c) => {
    const { configuration } = needBackup(c);
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
    const backup = needBackup(c);
    const expirationTime = expirationFrom(c.req.query('expiration') ?? '');
    state.backups.put(`${backup.cid}/${backup.labelNumber}`, { ...backup, expirationTime });
    return c.body(null, 200);
  });
  routes.delete('/:number/delete', (c) => {
    const backup = needBackup(c);
    state.backups.delete(`${backup.cid}/${backup.labelNumber}`);
    return c.body(null, 204);
  });
  routes.post('/:number/restore:vm', async (c) => {
    const client = clientOf(c);
    const backup = needBackup(c);
    const { pluginNumber, vcCid, vmEntityId, newVm, powerMode, restoreConf } = await checkedBody(c, VmRestore);
    if (vcCid !== undefined && vcCid !== state.vcenter().cid) throw notFound('Virtual center', vcCid);
    let target: RestoreTarget;
    if (newVm !== undefined) target = { kind: 'new', name: newVm.name };
    else if (vmEntityId !== undefined) {
      target = { kind: 'existing', moref: morefOf(vmEntityId), restoreConfiguration: restoreConf };
    } else throw new AvamarError(400, 'Name vmEntityId or newVm.');
    const activity = engine.restore(client, {
      user: c.var.caller.userName,
      pluginNumber,
      labelNumber: backup.labelNumber,
      target,
      ...(powerMode === undefined ? {} : { powerMode }),
    });
    return c.json(activity.id);
  });
  return routes;
}
