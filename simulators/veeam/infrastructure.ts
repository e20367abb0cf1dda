/**
 * What is set up once: the backup server, its repository, and the hierarchies that it protects. Read only.
 * @module
 */
import { text } from './element.ts';
import { type Kind, up } from './kind.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';
import { down } from './view.ts';

const TIB = 1024 ** 4;

type BackupServer = { id: string; name: string };
type Repository = { id: string; name: string };
type Root = { id: string; name: string; uniqueId: string };
export type Infrastructure = ReturnType<typeof createInfrastructure>;

export function createInfrastructure(state: State, settings: () => Settings, vcenterName: string) {
  const { backupServerId, repositoryId } = state.identity();
  const server: BackupServer = { id: backupServerId, name: 'veeam-vbr.simulated' };
  const repository: Repository = { id: repositoryId, name: 'Default Backup Repository' };
  const roots = (): Root[] => {
    const { rootId, defectRootId, templateRootId, uniqueId } = state.identity();
    const shownId = settings().hierarchyRootDefect ? defectRootId : rootId;
    return [
      { id: shownId, name: vcenterName, uniqueId },
      { id: templateRootId, name: 'templates.simulated', uniqueId: templateRootId },
    ];
  };
  const among =
    <T extends { id: string }>(all: () => readonly T[]) =>
    (id: string): T | undefined =>
      all().find((one) => one.id === id);

  const backupServers: Kind<BackupServer> = {
    type: 'BackupServer',
    listName: 'BackupServers',
    path: '/backupServers',
    all: () => [server],
    find: among(() => [server]),
    id: ({ id }) => id,
    name: ({ name }) => name,
    before: () => [],
    after({ id }, view, form) {
      const path = `/backupServers/${id}`;
      const collections = [
        down(view, `${path}/jobs`, 'JobReferenceList'),
        down(view, `${path}/managedServers`, 'ManagedServerReferenceList'),
        down(view, `${path}/repositories`, 'RepositoryReferenceList'),
      ];
      if (form === 'reference') return collections;
      return [
        ...collections,
        { rel: 'QuickBackup', href: view.href(`${path}?action=quickbackup`) },
        { rel: 'Start', href: view.href(`${path}?action=collect`) },
      ];
    },
    body: () => [text('Description', ''), text('Port', 9392), text('Version', '12.0')],
    fields: ({ name }) => ({ Name: name, Port: 9392, Version: '12.0' }),
  };

  const repositories: Kind<Repository> = {
    type: 'Repository',
    listName: 'Repositories',
    path: '/repositories',
    all: () => [repository],
    find: among(() => [repository]),
    id: ({ id }) => id,
    name: ({ name }) => name,
    before: (_, view) => [up(backupServers, server, view)],
    after: ({ id }, view) => [down(view, `/repositories/${id}/backups`, 'BackupReferenceList')],
    body: () => [text('Capacity', TIB), text('FreeSpace', TIB / 2), text('Kind', 'WindowsLocal')],
    fields: ({ name }) => ({ Name: name, Kind: 'WindowsLocal', Capacity: TIB, FreeSpace: TIB / 2 }),
  };

  const hierarchyRoots: Kind<Root> = {
    type: 'HierarchyRoot',
    listName: 'HierarchyRoots',
    path: '/hierarchyRoots',
    all: roots,
    find: among(roots),
    id: ({ id }) => id,
    name: ({ name }) => name,
    before: (_, view) => [up(backupServers, server, view)],
    after: ({ id, name }, view, form) =>
      form === 'reference'
        ? []
        : [{ rel: 'Related', type: 'ManagedServer', href: view.href(`/managedServers/${id}?format=Entity`), name }],
    body: ({ id, uniqueId }) => [text('HierarchyRootId', id), text('UniqueId', uniqueId), text('HostType', 'VC')],
    fields: ({ id, name, uniqueId }) => ({ Name: name, HierarchyRootId: id, UniqueId: uniqueId, HostType: 'VC' }),
  };

  const managedServers: Kind<Root> = {
    type: 'ManagedServer',
    listName: 'ManagedServers',
    path: '/managedServers',
    all: roots,
    find: among(roots),
    id: ({ id }) => id,
    name: ({ name }) => name,
    before: (_, view) => [up(backupServers, server, view)],
    after: ({ id, name }, view, form) =>
      form === 'reference'
        ? []
        : [{ rel: 'Related', type: 'HierarchyRoot', href: view.href(`/hierarchyRoots/${id}?format=Entity`), name }],
    body: () => [text('Description', ''), text('ManagedServerType', 'VC')],
    fields: ({ name }) => ({ Name: name, ManagedServerType: 'VC' }),
  };
  return { server, repository, backupServers, repositories, hierarchyRoots, managedServers };
}
