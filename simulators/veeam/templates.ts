import { randomUUID } from 'node:crypto';
import { newGfsRetention, newRetention, newSchedule } from './job-shape.ts';
import type { Job, State } from './state.ts';

export type Template = { name: string; description?: string | undefined };

/** Jobs to clone: one for each policy of the demo, and two with names as operators give them. */
export const DEFAULT_TEMPLATES: readonly Template[] = [
  { name: 'veeam-every-night' },
  { name: 'veeam-weekly' },
  { name: 'GOLD' },
  { name: 'SILVER' },
];

/**
 * Adds a job to clone where none has its name. It never runs by itself, keeps 30 points, and includes a machine that is
 * nobody's, as a job cannot be empty.
 */
export function addTemplate(state: State, { name, description = 'Template' }: Template): Job {
  const existing = state.jobs.values().find((job) => job.name.toLowerCase() === name.toLowerCase());
  if (existing !== undefined) return existing;
  const { templateRootId: rootId, repositoryId } = state.identity();
  const id = randomUUID();
  const ref = { rootId, moref: `vm-${state.jobs.size + 1}` };
  return state.jobs.put(id, {
    id,
    name,
    description,
    scheduleConfigured: true,
    scheduleEnabled: false,
    schedule: newSchedule(),
    gfs: newGfsRetention(),
    retention: { ...newRetention(), RetainCycles: 30 },
    repositoryId,
    includes: [{ id: randomUUID(), ref, name: `placeholder-of-${name}`, order: 0, addedAt: 0, visibleAt: 0 }],
  });
}
