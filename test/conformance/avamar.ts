/**
 * The Avamar plugin before the Avamar simulator.
 * @module
 */
import { Secret, type ProtectedVm } from '../../activities/backup-systems/backup-system.ts';
import { AVAMAR } from '../../domain/plugin-types.ts';
import { type AvamarWorld, startAvamarWorld, type Thing } from '../integration/plugins/avamar-world.ts';
import type { Console, SeenSchedule, Subject } from './plugin-under-test.ts';
import { simulatedMachines } from './simulated-machines.ts';
import { type Protocol, startWire } from './wire.ts';

const CREDENTIALS = { user: 'MCUser', password: new Secret('avamar-simulator') };
const API = '/api/v1';
/** Ends of the activities that the console decides. */
const ENDINGS = { WARNING: 'PARTIAL_SUCCESS', FAILED: 'FAILURE' } as const;

const PROTOCOL: Protocol = {
  login: /^\w+ \/api\/(v1\/oauth2\/clients|oauth\/token)/,
  harmless: /^POST \/api\/v1\/virtualcenters\/[^/]+\/sync/,
  credentialHeaders: ['authorization'],
  pageNumber: ['page'],
  pageSize: ['size'],
};

export const avamarSubject: Subject = {
  type: AVAMAR,
  without: {},
  limits: {},
  habits: [],
  async start({ zone, aheadSeconds, certificate }) {
    const world = await startAvamarWorld({
      backupSeconds: 0.1,
      taskSeconds: 0,
      ...(zone === undefined ? {} : { zone }),
    });
    if (aheadSeconds !== undefined) await world.advance(aheadSeconds);
    const wire = await startWire(world.avamarUrl, PROTOCOL, certificate === undefined ? {} : { certificate });
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

/** Avamar's administration, over the same REST API with a login of its own. */
function consoleOf(world: AvamarWorld): Console {
  const { atConsole } = world;
  const get = async <T>(path: string): Promise<T> => (await atConsole('GET', path)) as T;
  const isOurs = (vm: ProtectedVm) => (thing: Thing) => thing.name.startsWith(`holdfast-${vm.id}-`);
  const cidOf = async (vm: ProtectedVm): Promise<string> => {
    const [vcenter] = (await get<{ content: { cid: string }[] }>('/virtualcenters?domain=/&recursive=true')).content;
    const entity = `/virtualcenters/${vcenter?.cid}/entities/VirtualMachine:${vm.hypervisorRef}`;
    return (await get<{ cid?: string }>(entity).catch(() => undefined))?.cid ?? '';
  };
  const membersOf = async (group: Thing): Promise<string[]> =>
    (await get<{ content: { cid: string }[] }>(`/groups/${group.id}/members?size=500`)).content.map(({ cid }) => cid);
  const groupOf = async (vm: ProtectedVm): Promise<Thing> => {
    const group = (await world.inventory()).groups.find(isOurs(vm));
    if (group === undefined) throw new Error(`there is no group of ${vm.name}`);
    return group;
  };

  return {
    async schedules(vm) {
      const { groups, schedules, retentions } = await world.inventory();
      const cid = await cidOf(vm);
      const joined = cid === '' ? [] : (await get<{ content: Thing[] }>(`/clients/${cid}/groups?size=500`)).content;
      const isMeant = (group: Thing) => isOurs(vm)(group) || joined.some(({ id }) => id === group.id);
      const seen: SeenSchedule[] = [];
      for (const group of groups.filter(isMeant)) {
        const members = await membersOf(group);
        const { recurrenceEnum, startTime, timeZoneId, dailyData, weeklyData, monthlyData } =
          schedules.find(({ id }) => id === group['scheduleId']) ?? ({} as Partial<Thing>);
        seen.push({
          name: group.name,
          enabled: group['enabled'] === true,
          machines: members.map((member) => (member === cid ? (vm.hypervisorRef ?? '') : member)),
          when: JSON.stringify({ recurrenceEnum, startTime, timeZoneId, dailyData, weeklyData, monthlyData }),
          keepsDays: Number(retentions.find(({ id }) => id === group['retentionId'])?.['duration']),
        });
      }
      return seen.toSorted((a, b) => a.name.localeCompare(b.name));
    },
    async traces(vm) {
      const found = Object.entries(await world.inventory());
      return found
        .flatMap(([kind, things]) => things.filter(isOurs(vm)).map(({ name }) => `${kind}: ${name}`))
        .toSorted();
    },
    async plantForeign(vm) {
      const name = `copy-of-holdfast-${vm.id}`;
      await atConsole('POST', '/retentions', { name, domainFqdn: '/', basicRetentionType: 'NO_EXPIRATION' });
      await atConsole('POST', '/groups/backup-groups', {
        ...OWN_PARTS,
        name,
        members: [{ cid: await cidOf(vm), joinType: 'INCLUDED_BY_USER' }],
      });
    },
    async foreign(vm) {
      const found = Object.entries(await world.inventory());
      return Object.fromEntries(found.map(([kind, things]) => [kind, things.filter((thing) => !isOurs(vm)(thing))]));
    },
    async disableSchedule(vm) {
      await atConsole('PUT', `/groups/backup-groups/${(await groupOf(vm)).id}/toggle`);
    },
    async renameSchedule(vm) {
      const group = await groupOf(vm);
      const name = `Made by hand ${group.id}`;
      await atConsole('PUT', `/groups/backup-groups/${group.id}`, { ...group, ...OWN_PARTS, name });
      return name;
    },
    async deleteSchedule(vm) {
      await atConsole('DELETE', `/groups/${(await groupOf(vm)).id}`);
    },
    async addMachine(vm, other) {
      await world.connect().vmReference(world.context, other);
      await atConsole('POST', `/clients/${await cidOf(other)}/groups/add`, [(await groupOf(vm)).id]);
    },
    async startBackup(vm) {
      const { groups } = await world.inventory();
      const group = groups.find(isOurs(vm));
      if (group !== undefined) await atConsole('POST', `/groups/backup-groups/${group.id}/backup`);
      else await atConsole('POST', `/clients/${await cidOf(vm)}/backup`, ALL_DISKS);
    },
    async startRestore(vm, vendorBackupId) {
      const [vcenter] = (await get<{ content: { cid: string }[] }>('/virtualcenters?domain=/&recursive=true')).content;
      const [cid, label] = vendorBackupId.split('/');
      await atConsole('POST', `/clients/${cid}/backups/${label}/restore:vm`, {
        pluginNumber: 1016,
        vcCid: vcenter?.cid,
        vmEntityId: `VirtualMachine:${vm.hypervisorRef}`,
      });
    },
    async sessionCount(vm, kind) {
      const cids = [await cidOf(vm), ...vm.vendorRefs];
      const list = '/activities?domain=/&recursive=true&size=10000';
      const { content } = await get<{ content: { cid: string; type: string }[] }>(list);
      const isMeant = (type: string) => (kind === 'RESTORE') === /restore/i.test(type);
      return content.filter(({ cid, type }) => cids.includes(cid) && isMeant(type)).length;
    },
    async deleteBackup(_, vendorBackupId) {
      const [cid, label] = vendorBackupId.split('/');
      await atConsole('DELETE', `/clients/${cid}/backups/${label}/delete`);
    },
    async sessionsTake(seconds) {
      await world.settings({ backupSeconds: seconds, restoreSeconds: seconds });
    },
    async nextEnds(vm, how, words) {
      await world.outcome({ cid: await cidOf(vm), state: ENDINGS[how], codeReason: words, times: 1 });
    },
    async beginMany(count) {
      const machines = simulatedMachines(world.hypervisorUrl);
      const cids: string[] = [];
      for (const name of ['many-1', 'many-2', 'many-3', 'many-4']) {
        cids.push(await world.connect().vmReference(world.context, await machines.deploy(name)));
      }
      const ids: string[] = [];
      while (ids.length < count) {
        const cid = cids[ids.length % cids.length];
        ids.push(...((await atConsole('POST', `/clients/${cid}/backup`, ALL_DISKS)) as string[]));
      }
      return ids;
    },
    // Avamar's schedules are made by the request itself.
    settled: async () => {},
  };
}

const ALL_DISKS = { targets: [{ name: 'ALL', pluginNumber: 1016 }] };
/** What every Avamar server has, so that a group keeps nothing of Holdfast's. */
const OWN_PARTS = {
  domainFqdn: '/',
  enabled: true,
  datasetId: 'VMWARE:SNAPID',
  scheduleId: 'Default:SCHEDULEID',
  retentionId: 'Default:POLICYID',
  encryption: 'HIGH',
};
