/**
 * The Veeam plugin before the simulator of its Enterprise Manager, and before a real one.
 * @module
 */
import { Secret } from '../../activities/backup-systems/backup-system.ts';
import { loadVeeamConfig } from '../../activities/backup-systems/veeam/config.ts';
import { veeamPlugin } from '../../activities/backup-systems/veeam/plugin.ts';
import { VEEAM } from '../../domain/plugin-types.ts';
import { startVeeamWorld, type VeeamWorld } from '../integration/plugins/veeam-world.ts';
import { enterpriseManager } from './enterprise-manager.ts';
import type { Console, Subject } from './plugin-under-test.ts';
import { until } from './port-calls.ts';
import { type RealServer, realSubject } from './real-server.ts';
import { simulatedMachines } from './simulated-machines.ts';
import { idOf, veeamConsole } from './veeam-console.ts';
import { type Protocol, startWire } from './wire.ts';

const CREDENTIALS = { user: 'Administrator', password: new Secret('veeam-simulator') };
const TEMPLATE = 'GOLD';
const RESULTS = { WARNING: 'Warning', FAILED: 'Failed' } as const;

const PROTOCOL: Protocol = {
  api: '/api/',
  login: /^\w+ \/api\/(sessionMngr|$)/,
  // A finished task that is tidied away belongs to the session alone; a check removes a job that cannot be there, since
  // the answer tells whether it might.
  harmless: /^DELETE \/api\/(tasks\/|logonSessions\/|jobs\/00000000-0000-0000-0000-000000000000$)/,
  credentialHeaders: ['authorization', 'x-restsvcsessionid', 'cookie'],
  pageNumber: ['page'],
  pageSize: ['pageSize'],
};

/**
 * Nothing takes long in the simulator, so what does not come soon does not come. A machine that is busy makes it late all
 * the same, and what is waited for in vain is waited for once.
 */
const IMPATIENT = { includeTimeoutSeconds: 8, cloneSettlingSeconds: 2 };

/** How servers differ: by release, and by what they are busy with. */
const HABITS: Readonly<Record<string, object>> = {
  'flat nesting': { standart: false },
  'v12 roots': { hierarchyRootDefect: true },
  'restored untold': { restoredObjRef: false },
  'seconds only': { timestamps: 'seconds' },
  'shared backup': { backupPerMachine: false },
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
      policyCode: TEMPLATE,
      console: simulatedConsole(world),
      machines: simulatedMachines(world.hypervisorUrl),
      connect: (change = {}) => world.connect({ endpoint: `${wire.url}${PROTOCOL.api}`, ...change }, IMPATIENT),
      credentials: CREDENTIALS,
      advance: async (seconds) => void (await world.advance(seconds)),
      patienceMs: 10_000,
      async close() {
        await wire.close();
        await world.close();
      },
    };
  },
};

/** A real Enterprise Manager, where its address is given. */
export const realVeeam = (): Subject | undefined =>
  realSubject('VEEAM', VEEAM, PROTOCOL, {
    plugin: ({ settleSeconds: cloneSettlingSeconds }) =>
      veeamPlugin({ clock: () => new Date(), config: { ...loadVeeamConfig(undefined), cloneSettlingSeconds } }),
    async console({ url, user, password, policyCode, trusted }: RealServer) {
      return veeamConsole(enterpriseManager(`${url}/api`, user, password, trusted), policyCode);
    },
  });

/** With what only a simulator lets its administrator do. */
function simulatedConsole(world: VeeamWorld): Console {
  const { user, password } = CREDENTIALS;
  const manager = enterpriseManager(`${world.veeamUrl}/api`, user, password.reveal());
  const console = veeamConsole(manager, TEMPLATE);
  const advance = async (seconds: number) => void (await world.advance(seconds));
  return {
    ...console,
    async renameSchedule(vm) {
      const [seen] = await console.schedules(vm);
      const job = (await console.jobs()).find(({ name }) => name === seen?.name);
      const name = `By hand ${job?.id}`;
      await world.changeJob(job?.id ?? '', { name });
      return name;
    },
    async deleteBackup(_, vendorBackupId) {
      await world.control(`/points/${idOf(vendorBackupId)}`, undefined, 'DELETE');
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
        const machine = await machines.deploy('many');
        await console.addObject(id, `${root}.${machine.hypervisorRef}`, machine.name);
      }
      const [placeholder] = [...(await manager.get(`/jobs/${id}/includes`)).matchAll(/<ObjectInJobId>([^<]+)</g)];
      await manager.change('DELETE', `/jobs/${id}/includes/${placeholder?.[1]}`);
      await world.startJob(id);
      const look = async () => {
        const [run] = await console.uids('BackupJobSession', `JobName=="${name}"`);
        return run === undefined ? [] : console.uids('BackupTaskSession', `JobSessionUid=="${run}"`);
      };
      return until({ patienceMs: 20_000, advance }, look, ({ length }) => length >= count);
    },
    async settled() {
      // No task takes longer; once for its work and once for its effect to be listed.
      await advance(3);
      await advance(3);
    },
  };

  async function rootOfMachines(): Promise<string> {
    const roots = await manager.get('/hierarchyRoots?format=Entity');
    const vcenter = roots.split('<HierarchyRoot ').find((xml) => xml.includes('vcenter.simulated')) ?? '';
    return `urn:VMware:Vm:${/<HierarchyRootId>([^<]+)</.exec(vcenter)?.[1]}`;
  }
}
