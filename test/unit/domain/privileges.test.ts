import { describe, expect, test } from 'vitest';
import {
  CROSS_ENTERPRISE_ROLES,
  mayDo,
  PRIVILEGES,
  type Privilege,
  ROLE_PRIVILEGES,
  ROLES,
  type Role,
} from '../../../domain/privileges.ts';

const may = (role: Role, privilege: Privilege) =>
  mayDo({ tokenId: 't', name: 'a token', role, enterpriseId: null }, privilege);

describe('who may do what', () => {
  test.each<[Privilege, Role[]]>([
    ['ENTERPRISE_MANAGE', ['CLOUD_ADMIN']],
    ['PHYS_DC_ALLOW_BACKUP_CONFIG', ['CLOUD_ADMIN']],
    ['VAPP_MANAGE', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'PLATFORM']],
    ['VAPP_MANAGE_BACKUP', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER', 'PLATFORM']],
    ['VAPP_DEFINE_BACKUP_INFO', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER', 'PLATFORM']],
    ['VAPP_MANAGE_BACKUP_DISKS', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER', 'PLATFORM']],
    ['VAPP_RESTORE_BACKUP', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER']],
    ['VAPP_REGISTER', ['CLOUD_ADMIN', 'PLATFORM']],
    ['EVENTLOG_VIEW_ENTERPRISE', ['CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER']],
    ['EVENTLOG_VIEW_ALL', ['CLOUD_ADMIN', 'PLATFORM']],
  ])('%s', (privilege, roles) => {
    expect(ROLES.filter((role) => may(role, privilege))).toEqual(roles);
  });

  test('only roles that see every enterprise see every event', () => {
    expect(ROLES.filter((role) => may(role, 'EVENTLOG_VIEW_ALL'))).toEqual(CROSS_ENTERPRISE_ROLES);
  });

  test('no role holds a privilege twice, or one that is not there', () => {
    for (const role of ROLES) {
      const held = ROLE_PRIVILEGES[role];
      expect(new Set(held).size).toBe(held.length);
      for (const privilege of held) expect(PRIVILEGES).toContain(privilege);
    }
  });
});
