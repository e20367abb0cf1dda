/**
 * Who may do what. Tags follow Abiquo (PHYS_DC_ALLOW_BACKUP_CONFIG, VAPP_MANAGE_BACKUP …); the presets differ from it on
 * purpose: ENTERPRISE_ADMIN and USER may back up and restore what is their own enterprise's.
 * @module
 */

export const ROLES = ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER', 'PLATFORM'] as const;
export type Role = (typeof ROLES)[number];

export const PRIVILEGES = [
  /** See and manage enterprises. */
  'ENTERPRISE_MANAGE',
  /** See and manage datacenters, backup managers, policies and allowances. */
  'PHYS_DC_ALLOW_BACKUP_CONFIG',
  /** Deploy, reconfigure, undeploy and power virtual machines. */
  'VAPP_MANAGE',
  /** Choose a VM's policies and request backups. */
  'VAPP_MANAGE_BACKUP',
  /** Give times and days that a policy leaves to the VM. */
  'VAPP_DEFINE_BACKUP_INFO',
  /** Choose the disks that a policy leaves to the VM. */
  'VAPP_MANAGE_BACKUP_DISKS',
  'VAPP_RESTORE_BACKUP',
  /** Make a VM of any machine of a datacenter: whoever may do it can then read, change and remove that machine. */
  'VAPP_REGISTER',
  /** Undeploy a VM although its schedule cannot be removed: what is left then lies in the provider's backup system. */
  'VAPP_FORCE_UNDEPLOY',
  /** Decide how an operation ends whose outcome nobody can find out. */
  'OPERATION_SETTLE',
  'EVENTLOG_VIEW_ENTERPRISE',
  'EVENTLOG_VIEW_ALL',
] as const;
export type Privilege = (typeof PRIVILEGES)[number];

const TENANT = [
  'VAPP_MANAGE',
  'VAPP_MANAGE_BACKUP',
  'VAPP_DEFINE_BACKUP_INFO',
  'VAPP_MANAGE_BACKUP_DISKS',
  'VAPP_RESTORE_BACKUP',
  'EVENTLOG_VIEW_ENTERPRISE',
] as const satisfies readonly Privilege[];

/** What each role may do. PLATFORM is the cloud platform that triggers lifecycle operations for every enterprise. */
export const ROLE_PRIVILEGES: Readonly<Record<Role, readonly Privilege[]>> = {
  CLOUD_ADMIN: PRIVILEGES,
  ENTERPRISE_ADMIN: TENANT,
  USER: TENANT.filter((privilege) => privilege !== 'VAPP_MANAGE'),
  PLATFORM: [
    'VAPP_MANAGE',
    'VAPP_MANAGE_BACKUP',
    'VAPP_DEFINE_BACKUP_INFO',
    'VAPP_MANAGE_BACKUP_DISKS',
    'VAPP_REGISTER',
    'VAPP_FORCE_UNDEPLOY',
    'EVENTLOG_VIEW_ALL',
  ],
};

/** Roles that see every enterprise; the others see their own alone. */
export const CROSS_ENTERPRISE_ROLES: readonly Role[] = ['CLOUD_ADMIN', 'PLATFORM'];

/** Who asks: the holder of a token. */
export interface Principal {
  readonly tokenId: string;
  readonly name: string;
  readonly role: Role;
  /** `null` for roles that see every enterprise. */
  readonly enterpriseId: string | null;
}

/** Whether the principal holds the privilege. */
export function mayDo(principal: Principal, privilege: Privilege): boolean {
  return ROLE_PRIVILEGES[principal.role].includes(privilege);
}
