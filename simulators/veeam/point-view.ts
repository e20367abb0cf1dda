/**
 * How restore points and what holds them look. One record of a machine's point is shown as three entities: the machine's
 * point, the point of its chain, and the file.
 * @module
 */
import { isWaitOver } from '../kit/clock.ts';
import { text } from './element.ts';
import type { Infrastructure } from './infrastructure.ts';
import { type Kind, up } from './kind.ts';
import { fileName, pointName, restorePointName } from './names.ts';
import type { Settings } from './settings.ts';
import { type Backup, type Point, type State, refText } from './state.ts';
import { down } from './view.ts';

export function createPointKinds(
  state: State,
  now: () => number,
  settings: () => Settings,
  { backupServers, server, repositories, repository }: Infrastructure,
) {
  const all = () => state.points.values();
  const backupOf = ({ backupId }: Point): Backup => state.backups.get(backupId) as Backup;
  const isReady = ({ createdAt, readyAt }: Point): boolean =>
    readyAt !== undefined && isWaitOver(now(), createdAt, readyAt);

  const backups: Kind<Backup> = {
    type: 'Backup',
    listName: 'Backups',
    path: '/backups',
    all: () => state.backups.values(),
    find: (id) => state.backups.get(id),
    id: ({ id }) => id,
    name: ({ jobName, vmName }) => (settings().backupPerMachine ? `${jobName} - ${vmName}` : jobName),
    before: (_, view) => [up(repositories, repository, view), up(backupServers, server, view)],
    after: ({ id }, view) => [
      down(view, `/backups/${id}/restorePoints`, 'RestorePointReferenceList'),
      down(view, `/backups/${id}/backupFiles`, 'BackupFileReferenceList'),
    ],
    body: () => [text('Platform', 'VMware')],
    fields: (backup) => ({ Name: backups.name(backup), Platform: 'VMware' }),
  };

  const restorePoints: Kind<Point> = {
    type: 'RestorePoint',
    listName: 'RestorePoints',
    path: '/restorePoints',
    all,
    find: (id) => all().find(({ restorePointId }) => restorePointId === id),
    id: ({ restorePointId }) => restorePointId,
    name: restorePointName,
    before: (point, view) => [up(backups, backupOf(point), view), up(backupServers, server, view)],
    after: ({ restorePointId }, view) => [
      down(view, `/restorePoints/${restorePointId}/vmRestorePoints`, 'VmRestorePointReferenceList'),
      {
        rel: 'Related',
        type: 'BackupFileReferenceList',
        href: view.href(`/restorePoints/${restorePointId}/backupFiles`),
      },
    ],
    body: ({ createdAt }, view) => [text('BackupDateUTC', view.time(createdAt))],
    fields: (point) => ({ Name: restorePointName(point), BackupDate: new Date(point.createdAt) }),
  };

  const backupFiles: Kind<Point> = {
    type: 'BackupFile',
    listName: 'BackupFiles',
    path: '/backupFiles',
    all,
    find: (id) => all().find(({ fileId }) => fileId === id),
    id: ({ fileId }) => fileId,
    name: (point) => fileName(backupOf(point).jobName, point, settings().timeZone),
    before: (point, view) => [up(backups, backupOf(point), view), up(backupServers, server, view)],
    after: ({ fileId }, view) => [
      {
        rel: 'Related',
        type: 'RestorePointReferenceList',
        href: view.href(`/backupFiles/${fileId}/restorePoints`),
      },
      down(view, `/backupFiles/${fileId}/vmRestorePoints`, 'VmRestorePointReferenceList'),
    ],
    body: (point, view) => [
      text('FilePath', `D:\\Backups\\${backupOf(point).jobName}\\${backupFiles.name(point)}`),
      text('BackupSize', Math.round(point.sizeBytes / (point.isFull ? 2 : 20))),
      text('DataSize', point.sizeBytes),
      text('DeduplicationRatio', 1.5),
      text('CompressRatio', 1.9),
      text('CreationTimeUtc', view.time(point.createdAt)),
      text('FileType', point.isFull ? 'vbk' : 'vib'),
    ],
    fields: (point) => ({
      Name: backupFiles.name(point),
      CreationTime: new Date(point.createdAt),
      FileType: point.isFull ? 'vbk' : 'vib',
      DataSize: point.sizeBytes,
    }),
  };

  const vmPoints: Kind<Point> = {
    type: 'VmRestorePoint',
    listName: 'VmRestorePoints',
    path: '/vmRestorePoints',
    all,
    find: (id) => state.points.get(id),
    id: ({ id }) => id,
    name: pointName,
    more: ({ vmName }) => ({ VmDisplayName: vmName }),
    before(point, view, form) {
      // A point whose file is still being written, or that was not yet collected, has no way up to it.
      const rel = isReady(point) ? 'Up' : 'Related';
      const restore = { rel: 'Restore', href: view.href(`/vmRestorePoints/${point.id}?action=restore`) };
      const ups = [up(backupServers, server, view), up(restorePoints, point, view, rel)];
      return form === 'reference' ? ups : [restore, ...ups, up(backupFiles, point, view, rel)];
    },
    after({ id }, view, form) {
      if (form === 'reference') return [];
      const mounts = view.href(`/vmRestorePoints/${id}/mounts`);
      return [
        { rel: 'Down', type: 'VmRestorePointMountList', href: mounts },
        { rel: 'Create', type: 'VmRestorePointMount', href: mounts },
      ];
    },
    body: ({ createdAt, vmName, isFull, ref }, view) => [
      text('CreationTimeUTC', view.time(createdAt)),
      text('VmName', vmName),
      text('Algorithm', isFull ? 'Full' : 'Incremental'),
      text('PointType', isFull ? 'Full' : 'Increment'),
      text('HierarchyObjRef', refText(ref)),
    ],
    fields: (point) => ({
      Name: pointName(point),
      VmDisplayName: point.vmName,
      VmName: point.vmName,
      CreationTime: new Date(point.createdAt),
      Algorithm: point.isFull ? 'Full' : 'Incremental',
      PointType: point.isFull ? 'Full' : 'Increment',
      HierarchyObjRef: refText(point.ref),
    }),
  };
  return { backups, restorePoints, backupFiles, vmPoints };
}
