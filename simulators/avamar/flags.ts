/**
 * Flags of plug-ins: `SnapFlag` and `SnapFlagDTO` of the swagger. This server carries out none but the address of a
 * destination.
 * @module
 */
import { z } from 'zod';
import { vendorEnum } from './spring.ts';

const Command = vendorEnum(['BACKUP', 'RESTORE', 'BROWSE', 'DYNAMIC_BROWSE', 'REPL_CONFIG', 'VALIDATE', 'MIGRATE']);

/** A flag as it is written in datasets, groups and backups. */
export const SnapFlagDTO = z.object({
  key: z.string(),
  pluginNumber: z.number().int(),
  value: z.string(),
  alternatePluginNumber: z.number().int().optional(),
  command: Command.optional(),
  defaultValue: z.string().optional(),
  flagId: z.string().optional(),
  flagType: z.string().optional(),
});

/** A flag of a destination server, written as it is shown. */
export const SnapFlag = z.object({
  flagId: z.string(),
  name: z.string(),
  pluginNumber: z.number().int(),
  value: z.string(),
  type: z.string(),
  command: Command,
  defaultValue: z.string().optional(),
  alternatePID: z.number().int().optional(),
});
