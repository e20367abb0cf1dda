/**
 * How a restore is carried out: a backup, or its copy on a destination server, goes back into a machine or makes one.
 * @module
 */
import { copyAt } from './copies.ts';
import type { Activity, Backup, State } from './state.ts';
import type { VCenterLink } from '../hypervisor/vcenter-link.ts';
import type { WorkQueue } from './work-queue.ts';

export function createRestoreWork(state: State, link: VCenterLink, work: WorkQueue) {
  const source = ({ cid, labelNumber = '', restore }: Activity): Backup | undefined =>
    restore?.destId === undefined
      ? state.backups.get(`${cid}/${labelNumber}`)
      : copyAt(state, cid, restore.destId, labelNumber)?.original;

  return {
    async complete(activity: Activity): Promise<void> {
      const { restore } = activity;
      const backup = source(activity);
      if (backup === undefined || restore === undefined) return work.finish(activity, 'NO_DATA');
      const { configuration } = backup;
      let moref: string;
      if (restore.target.kind === 'new') {
        // The activity's id as the key: a server that dies between the creation and its own note makes no second machine.
        const made = await link.create({ ...configuration, name: restore.target.name, key: activity.id });
        moref = made.moref;
      } else {
        moref = restore.target.moref;
        if ((await link.machine(moref)) === undefined) return work.finish(activity, 'NO_VM');
        await link.overwrite(moref, {
          disks: Object.fromEntries(configuration.disks.map(({ label, content }) => [label, content])),
          ...(restore.target.restoreConfiguration
            ? {
                configuration: {
                  cpu: configuration.cpu,
                  memoryMiB: configuration.memoryMiB,
                  disks: configuration.disks.map(({ label, sizeGiB }) => ({ label, sizeGiB })),
                },
              }
            : {}),
        });
      }
      const powerMode = restore.powerMode?.toLowerCase();
      if (powerMode === 'on' || powerMode === 'off') await link.power(moref, powerMode === 'on' ? 'ON' : 'OFF');
      const current = state.activities.get(activity.id) ?? activity;
      work.finish(current, activity.outcome ?? 'SUCCESS', { restoredMoref: moref });
    },
  };
}
