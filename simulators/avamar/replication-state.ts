/**
 * What the server keeps of other servers and of what it copies to them; names and times as in `state.ts`.
 * @module
 */
import type { Backup, DurationUnit, Flag } from './state.ts';

export type Encryption = 'HIGH' | 'MEDIUM' | 'NONE';
/** Another server, to which backups are copied. */
export type Destination = {
  id: string;
  name: string;
  host: string;
  systemId: string;
  encryption: Encryption;
  pluginNumber: number;
  configFlags: Flag[];
};

export type BackupFilter = {
  dateRestriction?: 'NONE' | 'WITHIN' | 'RANGE' | undefined;
  within?: number | undefined;
  durationUnit?: DurationUnit | undefined;
  after?: string | undefined;
  before?: string | undefined;
  /** 0 for unlimited. */
  maxBackupsPerClient?: number | undefined;
  noTag?: boolean | undefined;
  dailyTag?: boolean | undefined;
  weeklyTag?: boolean | undefined;
  monthlyTag?: boolean | undefined;
  yearlyTag?: boolean | undefined;
};
export type ReplicationGroup = {
  id: string;
  name: string;
  enabled: boolean;
  destinationServerId: string;
  scheduleId: string;
  /** Ids of clients, and of domains: the only one that can be named is the vCenter's. */
  members: string[];
  allClients: boolean;
  allBackups: boolean;
  backupFilter?: BackupFilter | undefined;
  /** Of a retention that the group alone uses; absent: copies live as long as their backups. */
  retentionId?: string | undefined;
  encryption: Encryption;
  orderingCriterion: 'OLDEST_TO_NEWEST' | 'NEWEST_TO_OLDEST';
  optimizeVsr: boolean;
  usePoolBased: boolean;
};

/** A backup on a destination server. It holds what was backed up: it may outlive the backup itself. */
export type Copy = {
  original: Backup;
  destId: string;
  /** The destination's own number. */
  labelNumber: string;
  /** Epoch milliseconds; 0 never. */
  expirationTime: number;
};
