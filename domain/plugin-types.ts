/**
 * What each kind of backup system and hypervisor can do. Constants: the API shows them, `policyProblems` obeys them.
 * @module
 */
import type { BackupType, Subtype } from './policies.ts';

/** Whether a backup manager of this type takes a field. */
export type FieldConstraint = 'MANDATORY' | 'OPTIONAL' | 'NOT_APPLICABLE';

export interface BackupPluginType {
  readonly type: string;
  readonly name: string;
  readonly versions: readonly string[];
  readonly operations: {
    readonly configureOnDeploy: boolean;
    readonly configureOnReconfigure: boolean;
    readonly deconfigureOnUndeploy: boolean;
    readonly onDemandBackup: boolean;
    readonly restore: boolean;
    readonly listResults: boolean;
    readonly checkExpired: boolean;
    readonly cancel: boolean;
    readonly replication: boolean;
  };
  readonly constraints: {
    readonly endpoint: FieldConstraint;
    readonly credentials: FieldConstraint;
    readonly types: readonly BackupType[];
    readonly subtypes: readonly Subtype[];
    /** Whether single disks can be chosen; else every backup takes all of them. */
    readonly diskSelection: boolean;
    /** How many policies of one manager a VM can have; `null`: any number. */
    readonly maxPoliciesPerVm: number | null;
    /** How many configurations a policy can have; `null`: any number. */
    readonly maxBackupsPerPolicy: number | null;
    readonly restoreNeedsPowerOff: boolean;
    /** Whether a restore makes a machine of its own, which then becomes the VM; else it overwrites the VM's disks. */
    readonly restoresAsNewMachine: boolean;
  };
}

export interface HypervisorPluginType {
  readonly type: string;
  readonly name: string;
  readonly constraints: { readonly endpoint: FieldConstraint; readonly credentials: FieldConstraint };
}

/** Dell Avamar 19.x over its REST API. A restore overwrites the disks of the VM, which has to be off for that. */
export const AVAMAR: BackupPluginType = {
  type: 'avamar',
  name: 'Dell Avamar',
  versions: ['19.x'],
  operations: {
    configureOnDeploy: true,
    configureOnReconfigure: true,
    deconfigureOnUndeploy: true,
    onDemandBackup: true,
    restore: true,
    listResults: true,
    checkExpired: true,
    cancel: true,
    replication: true,
  },
  constraints: {
    endpoint: 'MANDATORY',
    credentials: 'MANDATORY',
    types: ['COMPLETE'],
    subtypes: ['DEFINED_HOUR', 'HOURLY', 'DAILY', 'WEEKLY_PLANNED', 'MONTHLY'],
    diskSelection: true,
    maxPoliciesPerVm: null,
    maxBackupsPerPolicy: null,
    restoreNeedsPowerOff: true,
    restoresAsNewMachine: false,
  },
};

/**
 * Veeam Backup & Replication through its Enterprise Manager REST API. A VM has one job and a job one recurrence, so a
 * policy has one configuration and a VM one policy. Such a job cannot be run once on demand without moving the retention
 * of the scheduled backups. A restore replaces the VM, which has to be off for that.
 */
export const VEEAM: BackupPluginType = {
  type: 'veeam',
  name: 'Veeam Backup Enterprise Manager',
  versions: ['v1_4', 'v1_5', 'v1_6', 'v1_7'],
  operations: {
    configureOnDeploy: true,
    configureOnReconfigure: true,
    deconfigureOnUndeploy: true,
    onDemandBackup: false,
    restore: true,
    listResults: true,
    checkExpired: true,
    cancel: true,
    replication: false,
  },
  constraints: {
    endpoint: 'MANDATORY',
    credentials: 'MANDATORY',
    types: ['COMPLETE'],
    subtypes: ['HOURLY', 'DAILY', 'WEEKLY_PLANNED', 'MONTHLY'],
    diskSelection: false,
    maxPoliciesPerVm: 1,
    maxBackupsPerPolicy: 1,
    restoreNeedsPowerOff: true,
    restoresAsNewMachine: true,
  },
};

export const SIMULATED_HYPERVISOR: HypervisorPluginType = {
  type: 'simulated',
  name: 'Simulated hypervisor',
  constraints: { endpoint: 'MANDATORY', credentials: 'NOT_APPLICABLE' },
};

export const BACKUP_PLUGIN_TYPES: readonly BackupPluginType[] = [AVAMAR, VEEAM];
export const HYPERVISOR_PLUGIN_TYPES: readonly HypervisorPluginType[] = [SIMULATED_HYPERVISOR];

/** The backup plugin type of that name, or `undefined`. */
export function backupPluginType(type: string): BackupPluginType | undefined {
  return BACKUP_PLUGIN_TYPES.find((plugin) => plugin.type === type);
}
