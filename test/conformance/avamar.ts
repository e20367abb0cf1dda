/**
 * The Avamar plugin before the Avamar simulator.
 * @module
 */
import { Secret, type ProtectedVm } from '../../activities/backup-systems/backup-system.ts';
import { AVAMAR } from '../../domain/plugin-types.ts';
import { loadAvamarConfig } from '../../activities/backup-systems/avamar/config.ts';
import { avamarPlugin } from '../../activities/backup-systems/avamar/plugin.ts';
import { type AvamarWorld, startAvamarWorld } from '../integration/plugins/avamar-world.ts';
import { type AvamarAdministration, avamarAdministration, type Thing } from './avamar-administration.ts';
import type { Console, SeenSchedule, Subject } from './plugin-under-test.ts';
import { until } from './port-calls.ts';
import { type RealConsole, realSubject } from './real-server.ts';
import { simulatedMachines } from './simulated-machines.ts';
import { type Protocol, startWire } from './wire.ts';

const CREDENTIALS = { user: 'MCUser', password: new Secret('avamar-simulator') };
/** Ends of the activities that the console decides. */
const ENDINGS = { WARNING: 'PARTIAL_SUCCESS', FAILED: 'FAILURE' } as const;

export const PROTOCOL: Protocol = {
  api: '/api/v1',
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
    await world.destination('vault');
    // The first login of all registers an OAuth client; what is compared begins after it.
    await world.connect().sessions(world.context, ['none']);
    const wire = await startWire(world.avamarUrl, PROTOCOL, certificate === undefined ? {} : { certificate });
    return {
      wire,
      policyCode: 'GOLD',
      console: simulatedConsole(world),
      machines: simulatedMachines(world.hypervisorUrl),
      connect: (change = {}) => world.connect({ endpoint: `${wire.url}${PROTOCOL.api}`, ...change }),
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

/** A real Avamar server, where its address is given. */
export const realAvamar = (): Subject | undefined =>
  realSubject('AVAMAR', AVAMAR, PROTOCOL, {
    plugin: () => avamarPlugin({ clock: () => new Date(), config: loadAvamarConfig(undefined) }),
    console: async ({ url, user, password, trusted }) =>
      avamarConsole(await avamarAdministration(url, user, password, trusted)),
  });

/** With what only a simulator lets its administrator do. */
function simulatedConsole(world: AvamarWorld): Console {
  const console = avamarConsole(world.administration);
  return {
    ...console,
    async sessionsTake(seconds) {
      await world.settings({ backupSeconds: seconds, restoreSeconds: seconds });
    },
    async nextEnds(vm, how, words) {
      await world.outcome({ clientName: vm.name, state: ENDINGS[how], codeReason: words, times: 1 });
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
        ids.push(...((await world.atConsole('POST', `/clients/${cid}/backup`, ALL_DISKS)) as string[]));
      }
      return ids;
    },
    // Avamar's schedules are made by the request itself.
    settled: async () => {},
  };
}

/** Avamar's administration in the words of the kit. */
function avamarConsole(administration: AvamarAdministration): RealConsole {
  const atConsole = (method: string, path: string, body?: unknown) => administration.call(method, path, body);
  const planted: string[] = [];
  const get = async <T>(path: string): Promise<T> => (await atConsole('GET', path)) as T;
  const isOurs = (vm: ProtectedVm) => (thing: Thing) => thing.name.startsWith(`holdfast-${vm.id}-`);
  const vcenterOf = async (): Promise<{ cid: string; domain: string }> => {
    const { content } = await get<{ content: { cid: string; domain: string }[] }>('/virtualcenters?domain=/');
    return content[0] ?? { cid: '', domain: '/' };
  };
  const cidOf = async (vm: ProtectedVm): Promise<string> => {
    const entity = `/virtualcenters/${(await vcenterOf()).cid}/entities/VirtualMachine:${vm.hypervisorRef}`;
    return (await get<{ cid?: string }>(entity).catch(() => undefined))?.cid ?? '';
  };
  const membersOf = async (group: Thing): Promise<string[]> =>
    (await get<{ content: { cid: string }[] }>(`/groups/${group.id}/members?size=500`)).content.map(({ cid }) => cid);
  const groupOf = async (vm: ProtectedVm): Promise<Thing> => {
    const group = (await administration.inventory()).groups.find(isOurs(vm));
    if (group === undefined) throw new Error(`there is no group of ${vm.name}`);
    return group;
  };

  return {
    async schedules(vm) {
      const { groups, schedules, retentions } = await administration.inventory();
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
      const found = Object.entries(await administration.inventory());
      return found
        .flatMap(([kind, things]) => things.filter(isOurs(vm)).map(({ name }) => `${kind}: ${name}`))
        .toSorted();
    },
    async plantForeign(vm) {
      const name = `copy-of-holdfast-${vm.id}`;
      planted.push(name);
      await atConsole('POST', '/retentions', { name, domainFqdn: '/', basicRetentionType: 'NO_EXPIRATION' });
      await atConsole('POST', '/groups/backup-groups', {
        ...OWN_PARTS,
        name,
        members: [{ cid: await cidOf(vm), joinType: 'INCLUDED_BY_USER' }],
      });
    },
    async foreign(vm) {
      const found = Object.entries(await administration.inventory());
      return Object.fromEntries(found.map(([kind, things]) => [kind, things.filter((thing) => !isOurs(vm)(thing))]));
    },
    async tidy() {
      const { groups, retentions } = await administration.inventory();
      for (const { id } of groups.filter(({ name }) => planted.includes(name)))
        await atConsole('DELETE', `/groups/${id}`);
      for (const { id } of retentions.filter(({ name }) => planted.includes(name))) {
        await atConsole('DELETE', `/retentions/${id}`);
      }
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
      const { cid, domain } = await vcenterOf();
      const asked = { domain, entityIds: [`VirtualMachine:${other.hypervisorRef}`], viewType: 'VM_TEMPLATE' };
      await atConsole('POST', `/virtualcenters/${cid}/clients`, asked);
      const patience = { patienceMs: 60_000 };
      const member = await until(
        patience,
        () => cidOf(other),
        (found) => found !== '',
      );
      await atConsole('POST', `/clients/${member}/groups/add`, [(await groupOf(vm)).id]);
    },
    async startBackup(vm) {
      const { groups } = await administration.inventory();
      const group = groups.find(isOurs(vm));
      if (group !== undefined) await atConsole('POST', `/groups/backup-groups/${group.id}/backup`);
      else await atConsole('POST', `/clients/${await cidOf(vm)}/backup`, ALL_DISKS);
    },
    async startRestore(vm, vendorBackupId) {
      const [cid, label] = vendorBackupId.split('/');
      await atConsole('POST', `/clients/${cid}/backups/${label}/restore:vm`, {
        pluginNumber: 1016,
        vcCid: (await vcenterOf()).cid,
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
