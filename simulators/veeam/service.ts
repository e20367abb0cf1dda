/**
 * `GET /api/`: who answers, and in which versions. Needs no login.
 * @module
 */
import { Hono } from 'hono';
import { answer } from './answers.ts';
import { list, links } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { resource, viewOf } from './view.ts';

/** The collections of entities that this server has, in the order in which a logon session links them. */
export const COLLECTIONS = [
  { type: 'BackupServer', path: '/backupServers' },
  { type: 'ManagedServer', path: '/managedServers' },
  { type: 'Job', path: '/jobs' },
  { type: 'HierarchyRoot', path: '/hierarchyRoots' },
  { type: 'Repository', path: '/repositories' },
  { type: 'Backup', path: '/backups' },
  { type: 'RestorePoint', path: '/restorePoints' },
  { type: 'VmRestorePoint', path: '/vmRestorePoints' },
  { type: 'BackupJobSession', path: '/backupSessions' },
  { type: 'RestoreSession', path: '/restoreSessions' },
  { type: 'BackupTaskSession', path: '/backupTaskSessions' },
  { type: 'BackupFile', path: '/backupFiles' },
] as const;
export type EntityType = (typeof COLLECTIONS)[number]['type'];

export function service(server: Server): Hono<VeeamEnv> {
  return new Hono<VeeamEnv>().get('/', (c) => {
    const view = viewOf(c, server);
    const logon = (version: string) => ({
      rel: 'Create',
      type: 'LogonSession',
      href: view.href(`/sessionMngr/?v=${version}`),
    });
    const { versions } = server.settings();
    const document = resource('EnterpriseManager', view.href('/'), [
      links([{ rel: 'Down', type: 'LogonSessionList', href: view.href('/logonSessions') }, logon('latest')]),
      list(
        'SupportedVersions',
        versions.map((version) => ({
          name: 'SupportedVersion',
          attributes: { Name: version },
          children: [links([logon(version)])],
        })),
        'SupportedVersions',
      ),
    ]);
    return answer(c, server, document);
  });
}
