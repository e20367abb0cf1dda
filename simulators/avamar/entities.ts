/**
 * The vCenter's inventory in the vendor's shapes: `VmwareEntity` and `VmwareEntityNode`.
 * @module
 */
import type { Server } from './env.ts';
import type { Client, State } from './state.ts';
import type { Machine } from '../hypervisor/vcenter-link.ts';

const DATACENTER = 'Datacenter';

export const entityIdOf = (machine: Machine): string => `VirtualMachine:${machine.moref}`;

export type ClientsByEntity = Map<string, Client>;

/** The clients that stand for entities now; a retired one does not. */
export const clientsByEntity = (state: State): ClientsByEntity =>
  new Map(
    state.clients
      .values()
      .filter(({ retired }) => !retired)
      .map((client) => [client.entityId, client]),
  );

/** The name of a disk's file, by which the vendor calls a disk. */
export function diskFile(machineName: string, label: string): string {
  return `[simulated] ${machineName}/${label}.vmdk`;
}

/** `VmwareEntity`. Its `cid` is how a machine's client is found; empty when it has none. */
export function entity({ state }: Server, machine: Machine, client: Client | undefined) {
  const vcenter = state.vcenter();
  const id = entityIdOf(machine);
  return {
    id,
    cid: client?.id ?? '',
    name: machine.name,
    type: 'VirtualMachine',
    ref: machine.moref,
    instanceUuid: machine.instanceUuid,
    uuid: machine.instanceUuid,
    vcCid: vcenter.cid,
    vcHost: vcenter.name,
    vcUuid: vcenter.uuid,
    datacenterPath: `/${DATACENTER}`,
    esxHostName: machine.host,
    guestOS: 'Other Linux (64-bit)',
    memoryMb: machine.memoryMiB,
    numCPU: machine.cpu,
    poweredOn: machine.power === 'ON',
    powerState: machine.power === 'ON' ? 'poweredOn' : 'poweredOff',
    cbtEnabled: client?.cbtEnabled ?? false,
    deleted: false,
    proxy: false,
    template: false,
    disks: machine.disks
      .filter((disk) => disk.attached)
      .map(({ label, sizeGiB }) => ({
        label,
        filename: diskFile(machine.name, label),
        datastore: 'simulated',
        capacity: sizeGiB * 1024 ** 3,
        capacityInKb: sizeGiB * 1024 ** 2,
        canBackup: true,
        belongsToVm: true,
        thinProvisioned: true,
      })),
  };
}

type Node = { id: string; name: string; type: string; path: string; children: Node[]; [field: string]: unknown };

/** The inventory as the vendor shows it: folders above the machines, or hosts above them. */
export function tree(server: Server, machines: Machine[], hostView: boolean): Node {
  const { state } = server;
  const clients = clientsByEntity(state);
  const leaf = (folder: string, machine: Machine): Node => {
    const client = clients.get(entityIdOf(machine));
    const { id, name, instanceUuid, poweredOn, powerState, cbtEnabled, guestOS } = entity(server, machine, client);
    return {
      id,
      name,
      type: 'VirtualMachine',
      path: `${folder}/${name}/`,
      vm: true,
      client: client !== undefined,
      instanceUuid,
      poweredOn,
      powerState,
      cbtEnabled,
      guestOS,
      host: machine.host,
      template: false,
      proxy: false,
      mor: { ref: machine.moref, type: 'VirtualMachine', vcCID: state.vcenter().cid },
      children: [],
    };
  };
  const branch = (id: string, type: string, path: string, children: Node[]): Node => {
    const name =
      path
        .split('/')
        .filter((part) => part !== '')
        .at(-1) ?? 'Datacenters';
    return { id, name, type, path: path.endsWith('/') ? path : `${path}/`, vm: false, client: false, children };
  };
  const home = `/${DATACENTER}`;
  const view = hostView
    ? branch(
        'Folder:group-h4',
        'Folder',
        `${home}/host`,
        [...new Set(machines.map(({ host }) => host))].map((host, index) =>
          branch(
            `HostSystem:host-${index + 1}`,
            'HostSystem',
            `${home}/host/${host}`,
            machines.filter((machine) => machine.host === host).map((machine) => leaf(`${home}/host/${host}`, machine)),
          ),
        ),
      )
    : branch(
        'Folder:group-v3',
        'Folder',
        `${home}/vm`,
        machines.map((machine) => leaf(`${home}/vm`, machine)),
      );
  return branch('Folder:group-d1', 'Folder', '/', [branch('Datacenter:datacenter-2', DATACENTER, home, [view])]);
}

/** The node at an inventory path, which ends in `/`. */
export function find(node: Node, path: string): Node | undefined {
  if (node.path === path) return node;
  for (const child of node.children) {
    const found = find(child, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All nodes below and including `node` whose name contains `name`, without case. */
export function found(node: Node, name: string): Node[] {
  const below = node.children.flatMap((child) => found(child, name));
  return node.name.toLowerCase().includes(name.toLowerCase()) ? [node, ...below] : below;
}
