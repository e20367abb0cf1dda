/**
 * What is written to backup groups: `BackupGroupDTO` and `BackupGroupParam` of the swagger.
 * @module
 */
import { z } from 'zod';
import { vendorEnum } from './spring.ts';

// Live clients write numbers as texts here. This server has no cloud to recover in.
const Amount = z.union([z.number().int(), z.string().regex(/^\d+$/)]);
const CloudDr = z.object({
  cloudDrEnabled: z.boolean().optional(),
  cloudDrPolicyId: z.string().optional(),
  cloudDrPolicy: z
    .object({
      cloudTargetId: z.string().optional(),
      name: z.string().optional(),
      retentionAmount: Amount.optional(),
      retentionType: z.string().optional(),
      rpoAmount: Amount.optional(),
      rpoType: z.string().optional(),
      state: z.string().optional(),
    })
    .optional(),
});
/** What a group is run with by hand: flags of plug-ins, of which this server carries out none. */
export const BackupGroupParam = z.object({
  dynamicValues: z.array(z.object({ property: z.string().optional(), value: z.string().optional() })).optional(),
});
/** A backup group as it is written. */
export const BackupGroupDTO = z
  .object({
    name: z.string().min(1),
    domainFqdn: z.string().startsWith('/').default('/'),
    enabled: z.boolean().default(false),
    datasetId: z.string(),
    scheduleId: z.string(),
    retentionId: z.string(),
    encryption: vendorEnum(['HIGH', 'MEDIUM', 'NONE']).default('HIGH'),
    members: z
      .array(
        z.object({
          cid: z.string(),
          datasetId: z.string().optional(),
          joinType: vendorEnum(['EXCLUDED', 'NOT_SELECTED', 'INCLUDED_BY_RULE', 'INCLUDED_BY_USER']).default(
            'INCLUDED_BY_USER',
          ),
        }),
      )
      .optional(),
    proxyIds: z.array(z.string()).default([]),
    autoProxyMapping: z.boolean().default(true),
    overrideSchedule: vendorEnum(['skipNext', 'runOnce', 'none']).default('none'),
    ruleEnabled: z.boolean().default(false),
    ruleId: z.number().int().optional(),
    id: z.string().optional(),
    memberType: z.string().optional(),
    ...CloudDr.shape,
  })
  // Checked, and not kept.
  .transform(
    ({
      id: _id,
      memberType: _type,
      cloudDrEnabled: _enabled,
      cloudDrPolicyId: _policyId,
      cloudDrPolicy: _policy,
      ...kept
    }) => kept,
  );
