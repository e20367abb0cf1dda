/**
 * What the activities are handed when the worker starts. Nothing in them is a global.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Config } from '../temporal.config.ts';
import type { Database } from '../db/connect.ts';
import type { BackupManagers } from './backup-systems/managers.ts';
import type { HypervisorFactory } from './hypervisors/hypervisor.ts';

export interface Dependencies {
  readonly db: Database;
  readonly hypervisors: HypervisorFactory;
  readonly managers: BackupManagers;
  readonly client: Client;
  readonly logger: Logger;
  readonly clock: () => Date;
  readonly limits: Config['limits'];
  readonly intervals: Pick<Config['intervals'], 'expiryCheckMs'>;
}
