import { expect, test } from 'vitest';
import type { OperationSummary } from '../../../bin/demo/documents.ts';
import { timeline } from '../../../bin/demo/timeline.ts';
import { clock } from '../../../bin/demo/wording.ts';

const operation = (some: Partial<OperationSummary>): OperationSummary => ({
  id: 'o-1',
  kind: 'DEPLOY',
  origin: 'HOLDFAST',
  state: 'SUCCEEDED',
  vm: { id: 'v-1', name: 'web-1' },
  progress: 100,
  attentionReason: null,
  createdAt: '2026-11-22T10:00:00.000Z',
  finishedAt: '2026-11-22T10:00:03.200Z',
  error: null,
  links: { temporalUi: 'http://ui/run-1' },
  ...some,
});

test('operations stand in the order in which they began, in columns, each with its own link', () => {
  const later = operation({
    kind: 'SCHEDULED_BACKUP',
    vm: { id: 'v-2', name: 'patient-files' },
    createdAt: '2026-11-22T10:05:00.000Z',
    finishedAt: '2026-11-22T10:06:05.000Z',
    links: { temporalUi: 'http://ui/run-2' },
  });
  expect(timeline([later, operation({})])).toEqual([
    {
      line: `${clock('2026-11-22T10:00:00Z')}  deploy            web-1          SUCCEEDED  3.2 s`,
      link: 'http://ui/run-1',
    },
    {
      line: `${clock('2026-11-22T10:05:00Z')}  scheduled-backup  patient-files  SUCCEEDED  1 min 05 s`,
      link: 'http://ui/run-2',
    },
  ]);
});

test('an operation that failed has its code, and one that has not ended says so', () => {
  const error = { code: 'BACKUP_SYSTEM_REFUSED', message: 'refused', vendorMessage: null };
  const [rolledBack, open] = timeline([
    operation({ state: 'ROLLED_BACK', error }),
    operation({ state: 'RUNNING', createdAt: '2026-11-22T11:00:00.000Z', finishedAt: null }),
  ]);
  expect(rolledBack?.line).toContain('ROLLED_BACK (BACKUP_SYSTEM_REFUSED)');
  expect(open?.line).toMatch(/RUNNING +goes on$/);
});
