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
    readonly maxPoliciesPerVm: number | null;
    readonly restoreNeedsPowerOff: boolean;
  };
}

export interface HypervisorPluginType {
  readonly type: string;
  readonly name: string;
  readonly constraints: { readonly endpoint: FieldConstraint; readonly credentials: FieldConstraint };
}

/**
 * Dell Avamar 19.x over its REST API. DEFINED_HOUR is left out: an Avamar schedule recurs. A restore overwrites the
 * VM's disks, which Avamar does to a VM that is switched off.
 */
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
    replication: false,
  },
  constraints: {
    endpoint: 'MANDATORY',
    credentials: 'MANDATORY',
    types: ['COMPLETE'],
    subtypes: ['HOURLY', 'DAILY', 'WEEKLY_PLANNED', 'MONTHLY'],
    diskSelection: true,
    maxPoliciesPerVm: null,
    restoreNeedsPowerOff: true,
  },
};

export const SIMULATED_HYPERVISOR: HypervisorPluginType = {
  type: 'simulated',
  name: 'Simulated hypervisor',
  constraints: { endpoint: 'MANDATORY', credentials: 'NOT_APPLICABLE' },
};

export const BACKUP_PLUGIN_TYPES: readonly BackupPluginType[] = [AVAMAR];
export const HYPERVISOR_PLUGIN_TYPES: readonly HypervisorPluginType[] = [SIMULATED_HYPERVISOR];

/** The backup plugin type of that name, or `undefined`. */
export function backupPluginType(type: string): BackupPluginType | undefined {
  return BACKUP_PLUGIN_TYPES.find((plugin) => plugin.type === type);
}
