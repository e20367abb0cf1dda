/**
 * What a plugin brings to be tested: itself, the backup system it speaks to as that system's administrator sees it,
 * and the machines that are backed up. The words are the port's; nothing here belongs to one vendor.
 * @module
 */
import type { BackupSystem, ManagerConnection, ProtectedVm } from '../../activities/backup-systems/backup-system.ts';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import type { Wire } from './wire.ts';

/** What cannot be had of every server: a simulator offers all of it. */
export type Ability =
  /** Time can be made to pass. */
  | 'TIME'
  /** Machines can be undeployed and deployed again. */
  | 'UNDEPLOY'
  /** What is on a machine's disk can be read and written. */
  | 'DISKS'
  /** How the next session ends can be decided. */
  | 'OUTCOMES'
  /** Hundreds of sessions can be begun. */
  | 'MANY_SESSIONS'
  /** A schedule can be given another name. */
  | 'RENAME'
  /** A single backup can be deleted. */
  | 'DELETE_BACKUPS'
  /** There is another server that backups can be copied to. */
  | 'REPLICATION'
  /** The server can be started with another clock, time zone or habit. */
  | 'SURROUNDINGS';

/** How the backup system is set up, beyond the ordinary. */
export interface Surroundings {
  /** IANA name of the server's own time zone. */
  readonly zone?: string;
  /** How much its clock is ahead of this machine's; negative: behind. */
  readonly aheadSeconds?: number;
  /** One of the subject's own `habits`. */
  readonly habit?: string;
  /** Speak TLS to the plugin with this certificate. */
  readonly certificate?: { readonly key: string; readonly cert: string };
}

/** A plugin and a kind of server, before anything is started. */
export interface Subject {
  readonly type: BackupPluginType;
  /** What this server does not offer, with the reason. What needs it is listed as not covered. */
  readonly without: Partial<Record<Ability, string>>;
  /** Limits of the plugin that are known and have a reason; the suite asserts them in place of the rule. */
  readonly limits: {
    /** How many calls one tick may cost with 500 sessions in flight, when it is more than 3. */
    readonly callsPerTick?: { readonly calls: number; readonly reason: string };
  };
  /** Ways in which servers of this kind differ; every scenario is played with each. */
  readonly habits: readonly string[];
  /** How long a session or a change may take, for servers that are not quick. Milliseconds. */
  readonly patienceMs?: number;
  start(surroundings: Surroundings): Promise<PluginUnderTest>;
}

/** A schedule as the administrator sees it. */
export interface SeenSchedule {
  readonly name: string;
  readonly enabled: boolean;
  /** The machines that it backs up, by what the hypervisor calls them. */
  readonly machines: readonly string[];
  /** When it runs, in the backup system's own words. */
  readonly when: string;
  /** How long what it makes is kept, in days. */
  readonly keepsDays: number | null;
}

/**
 * The backup system as its administrator sees it, past the plugin and its wire. A schedule that was changed is listed
 * so when the promise resolves, however late the system lists it: the plugin can see no more than the list.
 */
export interface Console {
  /** Schedules made for the VM, by its id, or that back up its machine. */
  schedules(vm: ProtectedVm): Promise<SeenSchedule[]>;
  /** Names of everything that carries the VM's id. */
  traces(vm: ProtectedVm): Promise<string[]>;
  /** Makes something that resembles what Holdfast makes for the VM and is not Holdfast's. */
  plantForeign(vm: ProtectedVm): Promise<void>;
  /** Everything that schedules anything and does not carry the VM's id as Holdfast writes it, in a form to compare. */
  foreign(vm: ProtectedVm): Promise<unknown>;
  disableSchedule(vm: ProtectedVm): Promise<void>;
  /** RENAME: gives a schedule of the VM a name that says nothing of Holdfast. @returns the name. */
  renameSchedule?(vm: ProtectedVm): Promise<string>;
  deleteSchedule(vm: ProtectedVm): Promise<void>;
  /** Makes the schedule of the VM back up another machine too. */
  addMachine(vm: ProtectedVm, other: ProtectedVm): Promise<void>;
  /** Begins a backup of the VM by hand. A plugin without backups on demand may need the VM's schedule for that. */
  startBackup(vm: ProtectedVm): Promise<void>;
  /** Begins a restore of that backup into the VM by hand. */
  startRestore(vm: ProtectedVm, vendorBackupId: string): Promise<void>;
  /** Sessions of that kind that were ever begun for the VM, under this and earlier references. */
  sessionCount(vm: ProtectedVm, kind: 'BACKUP' | 'RESTORE'): Promise<number>;
  /** DELETE_BACKUPS */
  deleteBackup?(vm: ProtectedVm, vendorBackupId: string): Promise<void>;
  /** How long the backups and restores take that begin from now on. */
  sessionsTake(seconds: number): Promise<void>;
  /** OUTCOMES: how the next session for the VM ends, with the words that the backup system finds for it. */
  nextEnds?(vm: ProtectedVm, how: 'WARNING' | 'FAILED', words: string): Promise<void>;
  /** MANY_SESSIONS: begins so many backups that go on. @returns their ids, as the plugin calls them. */
  beginMany?(count: number): Promise<string[]>;
  /** Resolves when nothing that was asked of it is still on its way. */
  settled(): Promise<void>;
}

/** The hypervisor, as far as the suite needs it. */
export interface Machines {
  /**
   * A machine that runs nothing, switched off, with the disks `Hard disk 1` and `Hard disk 2` of 1 GiB.
   * @param name begins its name, which is its own.
   * @param again the id of a VM that is deployed again: then the name is the whole of it.
   */
  deploy(name: string, again?: string): Promise<ProtectedVm>;
  /** UNDEPLOY */
  undeploy?(vm: ProtectedVm): Promise<void>;
  /** DISKS: what is on the first disk of every machine of the VM's name, by what the hypervisor calls the machine. */
  readDisks?(vm: ProtectedVm): Promise<ReadonlyMap<string, string>>;
  writeDisk?(vm: ProtectedVm, content: string): Promise<void>;
}

/** A plugin that is connected to a backup system which runs. */
export interface PluginUnderTest {
  readonly wire: Wire;
  /** The code of a policy that the backup system can serve. */
  readonly policyCode: string;
  readonly console: Console;
  readonly machines: Machines;
  /** A client as in another process: it remembers nothing of an earlier one. */
  connect(change?: Partial<Pick<ManagerConnection, 'credentials' | 'tls' | 'endpoint'>>): BackupSystem;
  /** The credentials that are right. */
  readonly credentials: NonNullable<ManagerConnection['credentials']>;
  /** TIME: lets the backup system's time pass; what became due has begun when it resolves. */
  advance?(seconds: number): Promise<void>;
  /** How long a session or a change may take to be seen. Milliseconds. */
  readonly patienceMs: number;
  close(): Promise<void>;
}
