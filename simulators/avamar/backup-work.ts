/**
 * How a backup is carried out: what the vCenter tells of a machine becomes a backup with a label.
 * @module
 */
import type { SimulatedClock } from '../kit/clock.ts';
import { DEFAULT_RETENTION_ID } from './built-ins.ts';
import { expirationOf } from './retention-rules.ts';
import { type Activity, type Configuration, type State, morefOf } from './state.ts';
import type { VCenterLink } from '../hypervisor/vcenter-link.ts';
import type { WorkQueue } from './work-queue.ts';

const GIB = 1024 ** 3;

export function createBackupWork(state: State, clock: SimulatedClock, link: VCenterLink, work: WorkQueue) {
  return {
    async complete(activity: Activity): Promise<void> {
      const client = state.clients.get(activity.cid);
      if (client === undefined) return work.finish(activity, 'CLIENT_NOT_REGISTERED');
      const moref = morefOf(client.entityId);
      const machine = await link.machine(moref);
      if (machine === undefined) return work.finish(activity, 'NO_VM');
      const contents = await link.contents(moref);
      const chosen = machine.disks.filter(
        (disk) => disk.attached && (activity.disks === undefined || activity.disks.includes(disk.label)),
      );
      const configuration: Configuration = {
        name: machine.name,
        cpu: machine.cpu,
        memoryMiB: machine.memoryMiB,
        disks: chosen.map(({ label, sizeGiB }) => ({ label, sizeGiB, content: contents[label] ?? '' })),
        ...(machine.annotation === undefined ? {} : { annotation: machine.annotation }),
      };
      // Read again: a cancel may have arrived, or the client may have gone, while the vCenter was asked.
      const current = state.activities.get(activity.id) ?? activity;
      if (current.cancelRequestedAt !== undefined) return work.finish(current, 'CANCELED');
      if (state.clients.get(client.id) === undefined) return work.finish(current, 'CLIENT_NOT_REGISTERED');
      // A server that dies between the backup and the activity's end takes the same label again, not another one.
      const last = state.backups.get(`${client.id}/${client.lastLabelNumber}`);
      const number = last?.name === activity.label ? client.lastLabelNumber : client.lastLabelNumber + 1;
      const labelNumber = String(number);
      const creationTime = clock.now();
      const retention = state.retentions.get(activity.retentionId ?? DEFAULT_RETENTION_ID);
      const expirationTime =
        activity.expireTime ?? (retention === undefined ? 0 : expirationOf(retention, creationTime));
      const sizeBytes = chosen.reduce((sum, { sizeGiB }) => sum + sizeGiB * GIB, 0);
      state.backups.put(`${client.id}/${labelNumber}`, {
        cid: client.id,
        labelNumber,
        name: activity.label,
        creationTime,
        expirationTime,
        pluginNumber: activity.pluginNumber,
        sizeBytes,
        configuration,
      });
      state.clients.put(client.id, { ...(state.clients.get(client.id) ?? client), lastLabelNumber: number });
      work.finish(current, current.outcome ?? 'SUCCESS', {
        labelNumber,
        effectiveExpiration: expirationTime,
        totalBytes: sizeBytes,
      });
    },

    /** The size is asked for when the backup begins, so that its progress can be seen. */
    async measure(activity: Activity): Promise<void> {
      const client = state.clients.get(activity.cid);
      const machine = client === undefined ? undefined : await link.machine(morefOf(client.entityId));
      const disks = machine?.disks.filter((disk) => disk.attached) ?? [];
      const totalBytes = disks.reduce((sum, { sizeGiB }) => sum + sizeGiB * GIB, 0);
      const current = state.activities.get(activity.id);
      if (current?.finished === undefined) state.activities.put(activity.id, { ...activity, ...current, totalBytes });
    },
  };
}
