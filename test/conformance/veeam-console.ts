/**
 * A Veeam server as its administrator sees it through the Enterprise Manager.
 * @module
 */
import { XMLParser } from 'fast-xml-parser';
import type { ProtectedVm } from '../../activities/backup-systems/backup-system.ts';
import type { EnterpriseManager } from './enterprise-manager.ts';
import { until } from './port-calls.ts';
import type { RealConsole } from './real-server.ts';

const SESSION_TYPES = { BACKUP: 'BackupTaskSession', RESTORE: 'RestoreSession' } as const;
/** How long a change that has been made may take to be listed. */
const TO_BE_SEEN = { patienceMs: 60_000 };
const XMLNS = 'xmlns="http://www.veeam.com/ent/v1.0"';

/** An element as the parser gives it: attributes and children by name, texts as strings. */
type Parsed = any;

const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false });
const listOf = (value: Parsed): Parsed[] => (value === undefined || value === '' ? [] : [value].flat());

interface SeenJob {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** All of it but what the clock changes. */
  readonly entity: Parsed;
}

/** What the console does beyond the port's words, for subjects that need more. */
export interface VeeamConsole extends RealConsole {
  jobs(): Promise<SeenJob[]>;
  /** UIDs of the entities of a type that the filter lets through. */
  uids(type: string, filter: string): Promise<string[]>;
  addObject(jobId: string, ref: string, name: string): Promise<void>;
}

/** @param policyCode of the template that is copied to plant something foreign. */
export function veeamConsole(manager: EnterpriseManager, policyCode: string): VeeamConsole {
  const planted: string[] = [];
  const isOurs = (vm: ProtectedVm) => (job: SeenJob) =>
    job.description.includes(`[holdfast vm=${vm.id}]`) || job.name === `holdfast-${vm.id}`;
  const query = async (type: string, filter?: string): Promise<Parsed> => {
    const asked = { type, format: 'Entities', pageSize: '1000', ...(filter === undefined ? {} : { filter }) };
    return (
      parser.parse(await manager.get(`/query?${new URLSearchParams(asked).toString()}`)).QueryResult?.Entities ?? {}
    );
  };
  const jobs = async (): Promise<SeenJob[]> =>
    listOf((await query('Job')).Jobs?.Job).map((job: Parsed) => {
      const { NextRun: _1, Links: _2, Href: _3, ...entity } = job;
      return { id: idOf(job.UID), name: job.Name, description: String(job.Description ?? ''), entity };
    });
  const jobOf = async (vm: ProtectedVm): Promise<SeenJob> => {
    const job = (await jobs()).find(isOurs(vm));
    if (job === undefined) throw new Error(`there is no job of ${vm.name}`);
    return job;
  };
  const objectsOf = async (jobId: string): Promise<Parsed[]> =>
    listOf(parser.parse(await manager.get(`/jobs/${jobId}/includes`)).ObjectsInJob?.ObjectInJob);
  const machinesOf = async (jobId: string): Promise<string[]> =>
    (await objectsOf(jobId)).map(({ HierarchyObjRef }) => machineOf(HierarchyObjRef));
  const uids = async (type: string, filter: string): Promise<string[]> => {
    const found = await query(type, filter);
    return listOf(found[`${type}s`]?.[type]).map(({ UID }: Parsed) => UID);
  };
  const addObject = (jobId: string, ref: string, name: string): Promise<void> => {
    const object = `<HierarchyObjRef>${ref}</HierarchyObjRef><HierarchyObjName>${name}</HierarchyObjName>`;
    const xml = `<CreateObjectInJobSpec ${XMLNS}>${object}</CreateObjectInJobSpec>`;
    return manager.change('POST', `/jobs/${jobId}/includes`, xml);
  };

  /** The end of a task says that a change is made; what it made, an object of a job above all, may be listed later. */
  const listed = async (look: () => Promise<boolean>): Promise<void> =>
    void (await until(TO_BE_SEEN, look, (isListed) => isListed));
  const some = async (isMeant: (job: SeenJob) => boolean): Promise<boolean> => (await jobs()).some(isMeant);

  return {
    jobs,
    uids,
    addObject,
    async schedules(vm) {
      const seen = (await jobs()).filter(isOurs(vm)).map(async ({ id, name, entity }) => {
        const retention = entity.JobInfo?.BackupJobInfo?.SimpleRetentionPolicy ?? {};
        return {
          name,
          enabled: entity.ScheduleEnabled === 'true' && entity.ScheduleConfigured === 'true',
          machines: await machinesOf(id),
          when: JSON.stringify(entity.JobScheduleOptions),
          keepsDays: retention.RetainLimitType === 'Days' ? Number(retention.RetainDaysToKeep) : null,
        };
      });
      return (await Promise.all(seen)).toSorted((a, b) => a.name.localeCompare(b.name));
    },
    traces: async (vm) =>
      (await jobs())
        .filter(isOurs(vm))
        .map(({ name }) => name)
        .toSorted(),
    async plantForeign(vm) {
      const name = `copy-of-${vm.id}`;
      planted.push(name);
      const template = (await jobs()).find((job) => job.name === policyCode);
      const [repository] = listOf(parser.parse(await manager.get('/repositories')).EntityReferences?.Ref).map(
        ({ UID }: Parsed) => UID,
      );
      const parts = `<JobName>${name}</JobName><FolderName>${name}</FolderName><RepositoryUid>${repository}</RepositoryUid>`;
      const xml = `<JobCloneSpec ${XMLNS}><BackupJobCloneInfo>${parts}</BackupJobCloneInfo></JobCloneSpec>`;
      await manager.change('POST', `/jobs/${template?.id}?action=clone`, xml);
      await listed(() => some((job) => job.name === name));
    },
    foreign: async (vm) => (await jobs()).filter((job) => !isOurs(vm)(job)),
    async disableSchedule(vm) {
      const { id, name } = await jobOf(vm);
      const job = `Type="Job" Href="" Name="${name}" UID="urn:veeam:Job:${id}"`;
      const xml = `<Job ${XMLNS} ${job}><ScheduleEnabled>false</ScheduleEnabled></Job>`;
      await manager.change('PUT', `/jobs/${id}?action=edit`, xml);
      await listed(() => some((job) => job.id === id && job.entity.ScheduleEnabled === 'false'));
    },
    async deleteSchedule(vm) {
      const { id } = await jobOf(vm);
      await manager.change('DELETE', `/jobs/${id}`);
      await listed(async () => !(await some((job) => job.id === id)));
    },
    async addMachine(vm, other) {
      const { id } = await jobOf(vm);
      const [{ HierarchyObjRef: ref }] = (await objectsOf(id)) as [Parsed];
      const otherRef = `${ref.slice(0, ref.lastIndexOf('.'))}.${other.hypervisorRef}`;
      // A machine that is new is unknown to the server for a while.
      const lookup = `/lookup?${new URLSearchParams({ hierarchyRef: otherRef }).toString()}`;
      await listed(async () => (await manager.get(lookup)).includes(other.name));
      await addObject(id, otherRef, other.name);
      await listed(async () => (await machinesOf(id)).includes(other.hypervisorRef ?? ''));
    },
    async startBackup(vm) {
      await manager.change('POST', `/jobs/${(await jobOf(vm)).id}?action=start`);
    },
    async startRestore(_, vendorBackupId) {
      await manager.change('POST', `/vmRestorePoints/${idOf(vendorBackupId)}?action=restore`);
    },
    sessionCount: async (vm, kind) => (await uids(SESSION_TYPES[kind], `VmDisplayName=="${vm.name}"`)).length,
    async tidy() {
      for (const { id } of (await jobs()).filter(({ name }) => planted.includes(name))) {
        await manager.change('DELETE', `/jobs/${id}`);
      }
    },
  };
}

/** The plain GUID of a URN. */
export const idOf = (urn: string): string => urn.slice(urn.lastIndexOf(':') + 1);

const machineOf = (ref: string): string => ref.slice(ref.lastIndexOf('.') + 1);
