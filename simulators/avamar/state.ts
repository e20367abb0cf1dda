/**
 * What the simulated Avamar server keeps. Field names that also go over the wire are the vendor's (Avamar 19.x swagger);
 * times inside are epoch milliseconds of the simulated clock.
 * @module
 */
import type { Collection } from '../kit/store.ts';
import type { Copy, Destination, ReplicationGroup } from './replication-state.ts';

export type OAuthClient = {
  clientId: string;
  clientSecret: string;
  clientName: string;
  authorizedGrantTypes: string[];
  scopes: string[];
  autoApproveScopes: string[];
  redirectUris: string[];
  accessTokenValiditySeconds: number;
  refreshTokenValiditySeconds: number;
};
export type Token = {
  accessToken: string;
  refreshToken: string;
  jti: string;
  clientId: string;
  userName: string;
  scope: string;
  accessExpires: number;
  refreshExpires: number;
};

/**
 * A client: of a virtual machine, or the server's own one. `entityId` is what the vCenter calls the machine, e.g.
 * `VirtualMachine:vm-12`; the server's own client has none ('').
 */
export type Client = {
  id: string;
  name: string;
  domainFqdn: string;
  vmName: string;
  entityId: string;
  instanceUuid: string;
  cbtEnabled: boolean;
  enabled: boolean;
  retired: boolean;
  retentionId?: string;
  registeredAt: number;
  lastLabelNumber: number;
  /** The last number of a copy, by destination. */
  lastCopyNumbers?: Record<string, number>;
};

/** A virtual machine's client, in contrast to the server's own one. */
export const isMachine = ({ entityId }: Client): boolean => entityId !== '';

export const morefOf = (entityId: string): string => entityId.replace(/^VirtualMachine:/, '');

export type Recurrence = 'Daily' | 'Weekly' | 'Monthly' | 'OnDemand';
export type Schedule = {
  id: string;
  name: string;
  domainFqdn: string;
  recurrenceEnum: Recurrence;
  /** `HH:mm` in the schedule's zone. */
  startTime: string;
  /** Hours. */
  duration: number;
  timeZoneId: string;
  dailyData?: { timesOfDay: string[] } | undefined;
  weeklyData?: { daysOfWeek: string[] } | undefined;
  monthlyData?:
    | {
        typeEnum: 'NthDay' | 'NthWeekDay';
        nthDay?: string | undefined;
        nthWeekDay?: string | undefined;
        dayOfWeek?: string | undefined;
      }
    | undefined;
  postponeUntilDate?: string | undefined;
  endDate?: string | undefined;
  readOnly: boolean;
};

export type DurationUnit = 'DAYS' | 'WEEKS' | 'MONTHS' | 'YEARS';
export type Retention = {
  id: string;
  name: string;
  domainFqdn: string;
  basicRetentionType: 'DURATION' | 'EXDATE' | 'NO_EXPIRATION';
  duration?: number | undefined;
  durationUnit?: DurationUnit | undefined;
  expireDate?: string | undefined;
  override: boolean;
  readOnly: boolean;
  /** Absent for a backup's. */
  policyType?: 'REPLICATION';
  noTag?: number | undefined;
  noTagUnit?: DurationUnit | undefined;
  dailyTag?: number | undefined;
  dailyTagUnit?: DurationUnit | undefined;
  weeklyTag?: number | undefined;
  weeklyTagUnit?: DurationUnit | undefined;
  monthlyTag?: number | undefined;
  monthlyTagUnit?: DurationUnit | undefined;
  yearlyTag?: number | undefined;
  yearlyTagUnit?: DurationUnit | undefined;
};

export type Dataset = {
  id: string;
  name: string;
  domain: string;
  includes: { pluginNumber: number; value: string }[];
  excludes: { pluginNumber: number; value: string }[];
  targets: { pluginNumber: number; value: string; recordID?: string | undefined }[];
  flags: Flag[];
  allData: boolean;
  readOnly: boolean;
};

export type JoinType = 'EXCLUDED' | 'NOT_SELECTED' | 'INCLUDED_BY_RULE' | 'INCLUDED_BY_USER';
export type Group = {
  id: string;
  name: string;
  domain: string;
  enabled: boolean;
  datasetId: string;
  scheduleId: string;
  retentionId: string;
  encryption: string;
  members: { cid: string; datasetId?: string | undefined; joinType: JoinType }[];
  proxyIds: string[];
  autoProxyMapping: boolean;
  skipNext: boolean;
  runOnce: boolean;
  ruleEnabled: boolean;
  ruleId?: number | undefined;
};

export type Expression = { keyName: string; operatorName: string; value: string; vmTagCategoryValue: string };
export type Rule = { id: number; name: string; domain: string; matchType: 'AND' | 'OR'; expressions: Expression[] };

/** A flag of a plug-in as the vendor writes it: `SnapFlag`. */
export type Flag = { flagId: string; name: string; pluginNumber: number; value: string; type: string; command: string };

export type RestoreTarget =
  | { kind: 'existing'; moref: string; restoreConfiguration: boolean }
  | { kind: 'new'; name: string };

/** A backup, a restore or a replication. What it looks like now follows from these times and the clock, so a restart changes nothing. */
export type Activity = {
  id: string;
  wid: string;
  kind: 'backup' | 'restore' | 'replication';
  type: 'On-Demand Backup' | 'Scheduled Backup' | 'Restore' | 'On-Demand Replication' | 'Scheduled Replication';
  cid: string;
  user: string;
  pluginNumber: number;
  queuedAt: number;
  startAt: number;
  endAt: number;
  scheduledAt?: number;
  groupId?: string;
  groupFqdn?: string;
  scheduleId?: string;
  scheduleName?: string;
  datasetId?: string;
  retentionId?: string;
  /** Epoch milliseconds; 0 never. Absent: computed when the backup is complete. */
  expireTime?: number;
  /** Disk labels; absent means all. */
  disks?: string[];
  /** Absent until the backup began. */
  totalBytes?: number;
  label: string;
  labelNumber?: string;
  /** With `destId`, `labelNumber` is the number of the copy there. */
  restore?: { target: RestoreTarget; destId?: string; powerMode?: string };
  /** A run of a group has the activities of its clients; each of these the labels that it copies, in their order. */
  replication?: { destinationId: string; labels: string[]; childIds?: string[] };
  parentId?: string;
  parentWid?: string;
  /** What a replication has copied when it ends. */
  processedBytes?: number;
  /** The state to end in, decided by a switch when the activity was queued. */
  outcome?: { state: string; errorCode: number; codeReason: string };
  cancelRequestedAt?: number;
  finished?: { at: number; state: string; errorCode: number; codeReason: string };
  effectiveExpiration?: number;
  /** The machine that a restore made: its MoRef. */
  restoredMoref?: string;
};

export type Configuration = {
  name: string;
  cpu: number;
  memoryMiB: number;
  annotation?: string;
  disks: { label: string; sizeGiB: number; content: string }[];
};
export type RetentionTag = 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY';
export type Backup = {
  cid: string;
  labelNumber: string;
  name: string;
  creationTime: number;
  /** Epoch milliseconds; 0 never. */
  expirationTime: number;
  pluginNumber: number;
  sizeBytes: number;
  configuration: Configuration;
  tags?: RetentionTag[];
};
export type TaskRecord = {
  id: string;
  createdAt: number;
  completedAt?: number;
  cancelled: boolean;
  request: { domain: string; entityIds: string[]; cbtEnabled: boolean };
  result?: Record<string, unknown>[];
  error?: { code: number; exception: string; message: string };
};

export type AuditRecord = {
  id: number;
  at: number;
  userName: string;
  oauth2ClientId: string;
  jti: string;
  ip: string;
  method: string;
  path: string;
  query: string;
  body: unknown;
  status: number;
  responseBody: unknown;
  responseTimeMs: number;
};

export type VCenter = { cid: string; name: string; domain: string; uuid: string; version: string };

export type State = {
  oauthClients: Collection<OAuthClient>;
  /** By access token. */
  tokens: Collection<Token>;
  clients: Collection<Client>;
  schedules: Collection<Schedule>;
  retentions: Collection<Retention>;
  datasets: Collection<Dataset>;
  groups: Collection<Group>;
  rules: Collection<Rule>;
  activities: Collection<Activity>;
  /** By `cid/labelNumber`. */
  backups: Collection<Backup>;
  destinations: Collection<Destination>;
  replicationGroups: Collection<ReplicationGroup>;
  /** By `cid/destId/labelNumber`. */
  copies: Collection<Copy>;
  tasks: Collection<TaskRecord>;
  audit: Collection<AuditRecord>;
  scheduler: Collection<{ checkedUntil: number }>;
  vcenter(): VCenter;
  /** The server's own client, which does the replicating. */
  replicator(): Client;
  rememberVCenter(seen: { uuid: string; version: string }): void;
  systemId(): string;
  /** A number that looks like epoch milliseconds and never repeats: the vendor's ids are made of such. */
  nextNumber(): number;
  /** A client id as on the wire: 40 hexadecimal digits. */
  newCid(): string;
};
