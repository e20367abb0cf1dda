/**
 * A real backup system as a subject: where it is, and which machines may be used, comes from the environment. Only what
 * can be done to a server in use is done; what was made is removed again.
 * @module
 */
import { readFileSync } from 'node:fs';
import { type BackupPlugin, type ProtectedVm, Secret } from '../../activities/backup-systems/backup-system.ts';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import type { Console, Machines, PluginUnderTest, Subject } from './plugin-under-test.ts';
import { openContext } from './port-calls.ts';
import { type Protocol, startWire } from './wire.ts';

/** What the environment tells of a server. */
export interface RealServer {
  /** Without a path, for example `https://veeam.example:9398`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly policyCode: string;
  /** How long a change may be on its way. */
  readonly settleSeconds: number;
  /** The authority of its certificate, in PEM. */
  readonly trusted?: string;
}

/** A console that can undo what it planted; how long things take is not its to decide. */
export type RealConsole = Omit<Console, 'sessionsTake' | 'settled'> & { tidy(): Promise<void> };

const MANAGER_ID = '0198a1b2-0000-7000-8000-0000000000ff';
/** So many VMs are in use at a time. */
const MACHINES_NEEDED = 3;
const REAL = 'a real server is not asked for that';

/**
 * The subject of `HOLDFAST_CONFORMANCE_<NAME>_URL` and its companions, which `docs/guides/plugins.md` lists.
 * @returns `undefined` when no address is given.
 * @throws Error that names what is missing beside the address.
 */
export function realSubject(
  name: string,
  type: BackupPluginType,
  protocol: Protocol,
  parts: {
    readonly plugin: (server: RealServer) => BackupPlugin;
    readonly console: (server: RealServer) => Promise<RealConsole>;
  },
): Subject | undefined {
  const prefix = `HOLDFAST_CONFORMANCE_${name}_`;
  const given = (key: string): string | undefined => process.env[`${prefix}${key}`];
  const needed = (key: string): string => {
    const value = given(key);
    if (value === undefined || value === '') throw new Error(`${prefix}URL is set, and ${prefix}${key} is not`);
    return value;
  };
  const url = given('URL')?.replace(/\/+$/, '');
  if (url === undefined || url === '') return undefined;
  const caFile = given('CA_FILE');
  const server: RealServer = {
    url,
    user: needed('USER'),
    password: needed('PASSWORD'),
    policyCode: needed('POLICY'),
    settleSeconds: Number(given('SETTLE_SECONDS') ?? 60),
    ...(caFile === undefined ? {} : { trusted: readFileSync(caFile, 'utf8') }),
  };
  const machines = machinesOf(needed('MACHINES'), `${prefix}MACHINES`);
  if (machines.length < MACHINES_NEEDED)
    throw new Error(`${prefix}MACHINES names fewer than ${MACHINES_NEEDED} machines`);
  const patienceMs = Number(given('PATIENCE_SECONDS') ?? 1_800) * 1_000;

  return {
    type,
    without: {
      TIME: REAL,
      UNDEPLOY: REAL,
      DISKS: REAL,
      OUTCOMES: REAL,
      MANY_SESSIONS: REAL,
      SURROUNDINGS: REAL,
      RENAME: REAL,
      REPLICATION: REAL,
      DELETE_BACKUPS: REAL,
    },
    limits: {},
    habits: [],
    patienceMs,
    async start() {
      const wire = await startWire(url, protocol, server.trusted === undefined ? {} : { trusted: server.trusted });
      const console = await parts.console(server);
      const used: ProtectedVm[] = [];
      const credentials = { user: server.user, password: new Secret(server.password) };
      const connect: PluginUnderTest['connect'] = (change = {}) =>
        parts.plugin(server).connect({
          id: MANAGER_ID,
          name: name.toLowerCase(),
          endpoint: `${wire.url}${protocol.api}`,
          credentials,
          tls: { mode: 'system' },
          ...change,
        });
      return {
        wire,
        policyCode: server.policyCode,
        console: {
          ...console,
          sessionsTake: async () => {},
          settled: () => new Promise((resolve) => setTimeout(resolve, server.settleSeconds * 1_000)),
        },
        machines: givenMachines(machines, used, (vm) => connect().removeSchedule(openContext(), vm, undefined)),
        connect,
        credentials,
        patienceMs,
        async close() {
          await wire.heal();
          for (const vm of used) await connect().removeSchedule(openContext(), vm, undefined);
          await console.tidy();
          await wire.close();
        },
      };
    },
  };
}

/** `web-1=vm-12,web-2=vm-13` */
function machinesOf(text: string, variable: string): { name: string; ref: string }[] {
  return text.split(',').map((pair) => {
    const [name = '', ref = ''] = pair.split('=').map((part) => part.trim());
    if (name === '' || ref === '') throw new Error(`${variable} is a list like web-1=vm-12,web-2=vm-13`);
    return { name, ref };
  });
}

/** The machines in turn, each time as another VM of Holdfast; the one that it was before is forgotten first. */
function givenMachines(
  machines: readonly { name: string; ref: string }[],
  used: ProtectedVm[],
  forget: (vm: ProtectedVm) => Promise<void>,
): Machines {
  let next = 0;
  return {
    async deploy() {
      const machine = machines[next % machines.length];
      next += 1;
      if (machine === undefined) throw new Error('there are no machines to use');
      for (const before of used.filter(({ hypervisorRef }) => hypervisorRef === machine.ref)) {
        await forget(before);
        used.splice(used.indexOf(before), 1);
      }
      const vm = { id: crypto.randomUUID(), name: machine.name, hypervisorRef: machine.ref, vendorRefs: [] };
      used.push(vm);
      return vm;
    },
  };
}
