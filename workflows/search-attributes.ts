/**
 * The search attributes of the runs: what an operator filters the list by.
 * @module
 */
import { defineSearchAttributeKey } from '@temporalio/common';

export const VM_ID = defineSearchAttributeKey('VmId', 'KEYWORD');
export const DATACENTER = defineSearchAttributeKey('Datacenter', 'KEYWORD');
export const ENTERPRISE = defineSearchAttributeKey('Enterprise', 'KEYWORD');
export const OPERATION_KIND = defineSearchAttributeKey('OperationKind', 'KEYWORD');
export const OPERATION_ID = defineSearchAttributeKey('OperationId', 'KEYWORD');
export const NEEDS_ATTENTION = defineSearchAttributeKey('NeedsAttention', 'BOOL');

export const SEARCH_ATTRIBUTES = [
  VM_ID,
  DATACENTER,
  ENTERPRISE,
  OPERATION_KIND,
  OPERATION_ID,
  NEEDS_ATTENTION,
] as const;
