/**
 * What can be done to things that are no jobs: stop a run, restore a machine, back one up quickly.
 * @module
 */
import { Hono } from 'hono';
import { bodyOf } from './answers.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError, notFound } from './errors.ts';
import { requireAdministrator } from './logon.ts';
import { ANY, BOOLEAN, TEXT, sequence } from './shape.ts';
import { refOf } from './state.ts';
import { accepted } from './tasks.ts';

const RESTORE = sequence({
  VmRestoreSpec: sequence({
    PowerOnAfterRestore: BOOLEAN,
    HierarchyRootUid: TEXT,
    QuickRollback: BOOLEAN,
    KeepOriginalVM: BOOLEAN,
    VmRestoreParameters: ANY,
  }),
});
type RestoreSpec = {
  VmRestoreSpec?: { PowerOnAfterRestore?: boolean; QuickRollback?: boolean; KeepOriginalVM?: boolean };
};
const QUICK_BACKUP = sequence({ VmRef: TEXT });

const unsupported = (): EmError => new EmError(400, 'The action is not supported.');

/** The writes below `/api` that are not on jobs. */
export function actions(server: Server): Hono<VeeamEnv> {
  const { state } = server;
  const routes = new Hono<VeeamEnv>();

  routes.post('/backupSessions/:id', (c) => {
    requireAdministrator(c.get('session'));
    const session = state.jobSessions.get(c.req.param('id'));
    if (session === undefined) throw notFound('backup session', c.req.param('id'));
    if (c.req.query('action')?.toLowerCase() !== 'stop') throw unsupported();
    return accepted(c, server, { kind: 'stopSession', sessionId: session.id });
  });

  // An empty body restores to where the machine was, without power.
  routes.post('/vmRestorePoints/:id', async (c) => {
    const point = state.points.get(c.req.param('id'));
    if (point === undefined) throw notFound('VM restore point', c.req.param('id'));
    if (c.req.query('action')?.toLowerCase() !== 'restore') throw unsupported();
    if (point.readyAt === undefined) throw new EmError(400, 'The restore point is not complete.');
    const spec = ((await bodyOf(c, 'RestoreSpec', RESTORE)) as RestoreSpec | undefined)?.VmRestoreSpec ?? {};
    const { PowerOnAfterRestore = false, QuickRollback = false, KeepOriginalVM = false } = spec;
    return accepted(c, server, {
      kind: 'restore',
      pointId: point.id,
      powerOn: PowerOnAfterRestore,
      quickRollback: QuickRollback,
      keepOriginal: KeepOriginalVM,
    });
  });

  routes.post('/backupServers/:id', async (c) => {
    requireAdministrator(c.get('session'));
    if (c.req.param('id') !== state.identity().backupServerId) throw notFound('backup server', c.req.param('id'));
    switch (c.req.query('action')?.toLowerCase()) {
      case 'quickbackup': {
        const { VmRef = '' } = ((await bodyOf(c, 'QuickBackupStartupSpec', QUICK_BACKUP)) ?? {}) as { VmRef?: string };
        const ref = refOf(VmRef);
        if (ref === undefined) throw new EmError(400, `[${VmRef}] is no reference of a virtual machine.`);
        return accepted(c, server, { kind: 'quickBackup', ref });
      }
      case 'collect':
        return accepted(c, server, { kind: 'collect' });
      case 'veeamzip':
        throw new EmError(501, 'The action is not implemented.');
      default:
        throw unsupported();
    }
  });
  return routes;
}
