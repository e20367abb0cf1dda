/**
 * The Veeam plugin before the simulator of its Enterprise Manager.
 * @module
 */
import { type ProtectedVm, Secret } from '../../activities/backup-systems/backup-system.ts';
import { VEEAM } from '../../domain/plugin-types.ts';
import { type SeenJob, startVeeamWorld, type VeeamWorld } from '../integration/plugins/veeam-world.ts';
import { enterpriseManager } from './enterprise-manager.ts';
import type { Console, Subject } from './plugin-under-test.ts';
import { until } from './port-calls.ts';
import { simulatedMachines } from './simulated-machines.ts';
import { type Protocol, startWire } from './wire.ts';

const CREDENTIALS = { user: 'Administrator', password: new Secret('veeam-simulator') };
const API = '/api/';
const RESULTS = { WARNING: 'Warning', FAILED: 'Failed' } as const;

const PROTOCOL: Protocol = {
  login: /^\w+ \/api\/(sessionMngr|$)/,
  // A finished task that is tidied away belongs to the session alone.
  harmless: /^DELETE \/api\/(tasks|logonSessions)\//,
  credentialHeaders: ['authorization', 'x-restsvcsessionid', 'cookie'],
  pageNumber: ['page'],
  pageSize: ['pageSize'],
};

/** How servers differ: by release, and by what they are busy with. */
const HABITS: Readonly<Record<string, object>> = {
  'flat nesting': { standart: false },
  'v12 roots': { hierarchyRootDefect: true },
  'restored machine untold': { restoredObjRef: false },
  'seconds only': { timestamps: 'seconds' },
  'one backup per job': { backupPerMachine: false },
  'tasks at once': { immediateTasks: true },
  'absent is 400': { missingJobStatus: 400 },
  'oldest release': { versions: ['v1_4'] },
  late: { includeSeconds: 1, lookupSeconds: 0.5, pointReadySeconds: 0.5, taskSeconds: 0.3, collectSeconds: 0.2 },
};

export const veeamSubject: Subject = {
  type: VEEAM,
  without: {},
  limits: {},
  habits: Object.keys(HABITS),
  async start({ zone, aheadSeconds, habit, certificate }) {
    const world = await startVeeamWorld({
      settings: {
        // Its own idea of its address leads nowhere: whoever follows it fails.
        advertisedHost: 'http://veeam-em.invalid:9399',
        ...(zone === undefined ? {} : { timeZone: zone }),
        ...(habit === undefined ? {} : HABITS[habit]),
      },
    });
    if (aheadSeconds !== undefined) await world.advance(aheadSeconds);
    const wire = await startWire(world.veeamUrl, PROTOCOL, certificate === undefined ? {} : { certificate });
    return {
      wire,
      policyCode: 'GOLD',
      console: consoleOf(world),
      machines: simulatedMachines(world.hypervisorUrl),
      connect: (change = {}) => world.connect({ endpoint: `${wire.url}${API}`, ...change }),
      credentials: CREDENTIALS,
      endpointPath: API,
      advance: async (seconds) => void (await world.advance(seconds)),
      patienceMs: 10_000,
      async close() {
        await wire.close();
        await world.close();
      },
    };
  },
};

/** The backup server's own console: it works while nobody can log in to the Enterprise Manager. */
function consoleOf(world: VeeamWorld): Console {
  const isOurs = (vm: ProtectedVm) => (job: SeenJob) => job.description.includes(`[holdfast vm=${vm.id}]`);
  const carriesId = (vm: ProtectedVm) => (job: SeenJob) => isOurs(vm)(job) || job.name === `holdfast-${vm.id}`;
  const backsUp = (vm: ProtectedVm) => (job: SeenJob) =>
    vm.hypervisorRef !== null && job.includes.some(({ ref }) => ref.endsWith(`.${vm.hypervisorRef}`));
  const machineOf = (ref: string): string => ref.slice(ref.lastIndexOf('.') + 1);
  const jobOf = async (vm: ProtectedVm): Promise<SeenJob> => {
    const job = (await world.jobs()).find(carriesId(vm));
    if (job === undefined) throw new Error(`there is no job of ${vm.name}`);
    return job;
  };
  const manager = enterpriseManager(`${world.veeamUrl}/api`, CREDENTIALS.user, CREDENTIALS.password.reveal());
  /** UIDs of the sessions that the filter of the query service lets through. */
  const sessionsOf = async (type: string, filter: string): Promise<string[]> => {
    const query = new URLSearchParams({ type, format: 'Entities', pageSize: '1000', filter });
    const xml = await manager.get(`/query?${query}`);
    return [...xml.matchAll(new RegExp(`<${type}\\s[^>]*UID="([^"]+)"`, 'g'))].map(([, uid = '']) => uid);
  };
  const rootOfMachines = async (): Promise<string> => {
    const roots = await manager.get('/hierarchyRoots?format=Entity');
    const vcenter = roots.split('<HierarchyRoot ').find((xml) => xml.includes('vcenter.simulated')) ?? '';
    return `urn:VMware:Vm:${/<HierarchyRootId>([^<]+)</.exec(vcenter)?.[1]}`;
  };
  const pointOf = (vendorBackupId: string): string => vendorBackupId.slice(vendorBackupId.lastIndexOf(':') + 1);

  return {
    async schedules(vm) {
      const jobs = (await world.jobs()).filter((job) => carriesId(vm)(job) || backsUp(vm)(job));
      return jobs
        .map((job) => ({
          name: job.name,
          enabled: job.scheduleEnabled && job.scheduleConfigured,
          machines: job.includes.map(({ ref }) => machineOf(ref)),
          when: JSON.stringify(job.schedule),
          keepsDays: daysOf(job.retention),
        }))
        .toSorted((a, b) => a.name.localeCompare(b.name));
    },
    traces: async (vm) =>
      (await world.jobs())
        .filter(carriesId(vm))
        .map(({ name }) => name)
        .toSorted(),
    async plantForeign(vm) {
      const description = `Made by hand for holdfast-${vm.id}`;
      await world.control('/jobs', { name: `copy-of-${vm.id}`, description });
    },
    foreign: async (vm) => (await world.jobs()).filter((job) => !carriesId(vm)(job)),
    async disableSchedule(vm) {
      await world.changeJob((await jobOf(vm)).id, { scheduleEnabled: false });
    },
    async renameSchedule(vm) {
      const { id } = await jobOf(vm);
      const name = `By hand ${id}`;
      await world.changeJob(id, { name });
      return name;
    },
    async deleteSchedule(vm) {
      await world.deleteJob((await jobOf(vm)).id);
    },
    async addMachine(vm, other) {
      const { id, includes } = await jobOf(vm);
      const root = includes[0]?.ref.slice(0, includes[0].ref.lastIndexOf('.'));
      await manager.change('POST', `/jobs/${id}/includes`, newObject(`${root}.${other.hypervisorRef}`, other.name));
    },
    async startBackup(vm) {
      await world.startJob((await jobOf(vm)).id);
    },
    async startRestore(_, vendorBackupId) {
      await manager.change('POST', `/vmRestorePoints/${pointOf(vendorBackupId)}?action=restore`);
    },
    sessionCount: async (vm, kind) => (await sessionsOf(SESSION_TYPES[kind], `VmDisplayName=="${vm.name}"`)).length,
    async deleteBackup(_, vendorBackupId) {
      await world.control(`/points/${pointOf(vendorBackupId)}`, undefined, 'DELETE');
    },
    async sessionsTake(seconds) {
      await world.settings({ backupSeconds: seconds, restoreSeconds: seconds });
    },
    async nextEnds(vm, how, words) {
      await world.control('/outcomes', { vmName: vm.name, result: RESULTS[how], reason: words, times: 1 });
    },
    async beginMany(count) {
      // One job with that many machines: its run has a session for each of them.
      const name = `Many ${crypto.randomUUID().slice(0, 8)}`;
      await world.settings({ immediateTasks: true, includeSeconds: 0 });
      const { id } = (await world.control('/jobs', { name })) as { id: string };
      const root = await rootOfMachines();
      const machines = simulatedMachines(world.hypervisorUrl);
      for (let made = 0; made < count; made += 1) {
        const machine = await machines.deploy(name);
        await manager.change('POST', `/jobs/${id}/includes`, newObject(`${root}.${machine.hypervisorRef}`, name));
      }
      const [placeholder] = [...(await manager.get(`/jobs/${id}/includes`)).matchAll(/<ObjectInJobId>([^<]+)</g)];
      await manager.change('DELETE', `/jobs/${id}/includes/${placeholder?.[1]}`);
      await world.startJob(id);
      const advance = async (seconds: number) => void (await world.advance(seconds));
      const run = async () => /UID="(urn:veeam:BackupJobSession:[^"]+)"/.exec(await manager.get(runsOf(name)))?.[1];
      const look = async () => sessionsOf('BackupTaskSession', `JobSessionUid=="${await run()}"`);
      return until({ patienceMs: 20_000, advance }, look, ({ length }) => length >= count);
    },
    async settled() {
      // No task takes longer; once for its work and once for its effect to be listed.
      await world.advance(3);
      await world.advance(3);
    },
  };
}

const SESSION_TYPES = { BACKUP: 'BackupTaskSession', RESTORE: 'RestoreSession' } as const;

const runsOf = (jobName: string): string =>
  `/query?${new URLSearchParams({ type: 'BackupJobSession', format: 'Entities', filter: `JobName=="${jobName}"` })}`;

const newObject = (ref: string, name: string): string =>
  '<CreateObjectInJobSpec xmlns="http://www.veeam.com/ent/v1.0">' +
  `<HierarchyObjRef>${ref}</HierarchyObjRef><HierarchyObjName>${name}</HierarchyObjName></CreateObjectInJobSpec>`;

const daysOf = ({ RetainLimitType, RetainDaysToKeep }: SeenJob['retention']): number | null =>
  RetainLimitType === 'Days' ? Number(RetainDaysToKeep) : null;
