/** The recorded histories are worth something only if they find a change that runs in flight would not survive. */
import { afterAll, describe, expect, test } from 'vitest';
import { askFirst, changedWorkflows } from './changed-workflows.ts';
import { withReplay } from './replay.ts';
import { recordedHistories } from './recording/histories.ts';

/** The recorded runs that the changed workflows cannot carry on. */
async function broken(replayRecorded: ReturnType<typeof withReplay>['replayRecorded']): Promise<string[]> {
  const found: string[] = [];
  for (const { name, text } of recordedHistories()) {
    const error = await replayRecorded(JSON.parse(text));
    if (error !== undefined) found.push(`${name}: ${error.name}`);
  }
  return found;
}

/** Runs of the changed workflows that had told at least the first line of their story. */
const inFlight = recordedHistories()
  .map(({ name }) => name)
  .filter((name) => /^(deployVm|backupVm)-/.test(name) && !/-(fenced|recovery-.*)$/.test(name));

describe('a change of deployVm and backupVm', () => {
  const changed = changedWorkflows(askFirst(false));
  const { replayRecorded } = withReplay(changed.workflowsPath);
  afterAll(() => changed.remove());

  test('that asks nobody breaks their runs in flight, and is found', async () => {
    expect(await broken(replayRecorded)).toEqual(inFlight.map((name) => `${name}: DeterminismViolationError`));
  });
});

describe('a change of deployVm and backupVm that is patched', () => {
  const changed = changedWorkflows(askFirst(true));
  const { replayRecorded } = withReplay(changed.workflowsPath);
  afterAll(() => changed.remove());

  test('breaks none', async () => {
    expect(await broken(replayRecorded)).toEqual([]);
  });
});
