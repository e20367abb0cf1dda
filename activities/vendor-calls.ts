/**
 * Every call to another system, counted: which system, whether it wrote, and how it ended.
 * @module
 */
import type { MetricMeter } from '@temporalio/common';
import type { CallEnd } from './http.ts';

/** A system that is called, as the counter names it. */
export interface CalledSystem {
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  /** The backup manager's name, or the datacenter's. */
  readonly name: string;
}

/** Told of every call when it has ended. */
export type CountCall = (called: CalledSystem, end: CallEnd) => void;

/**
 * Counts calls as `holdfast_vendor_calls_total{system,name,call,outcome}`.
 * @param meter of the Temporal SDK: what is counted is exported together with the SDK's own metrics.
 */
export function vendorCalls(meter: MetricMeter): CountCall {
  const counter = meter.createCounter(
    'holdfast_vendor_calls_total',
    undefined,
    'Calls to backup systems and hypervisors, by their end.',
  );
  return ({ system, name }, { effect, outcome }) => counter.add(1, { system, name, call: effect, outcome });
}
