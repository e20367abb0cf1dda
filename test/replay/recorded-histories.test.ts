/** Runs of released versions, recorded when they were real: the code of today must be able to carry on every one of them. */
import { describe, expect, test } from 'vitest';
import * as workflows from '../../workflows/index.ts';
import { withReplay } from './replay.ts';
import { readable, recordedHistories } from './recording/histories.ts';

/** Workflows that the first versions did not have, and the version that they came with. */
const CAME_WITH: Readonly<Record<string, string>> = { refreshSchedule: '0.3.0' };

const { replayRecorded } = withReplay();
const histories = recordedHistories();

describe.each(histories)('$version, $name', ({ text }) => {
  test('can be carried on', async () => {
    expect(await replayRecorded(JSON.parse(text))).toBeUndefined();
  });

  test('tells nothing of the machine that it was recorded on, and no secret', () => {
    const told = readable(text);
    expect(told.match(/"identity":"(?!recorder")[^"]*"/g)).toBeNull();
    expect(
      told.match(/node_modules|file:\/\/|\/(home|root|tmp|work|Users|var)\/|\d+@[\w.-]+|avamar-simulator|password/gi),
    ).toBeNull();
  });
});

test('each version has recorded every workflow that it has', () => {
  const newest = histories
    .map(({ version }) => version)
    .toSorted(byNumbers)
    .at(-1);
  const recorded = histories.filter(({ version }) => version === newest).map(({ name }) => name.split('-')[0]);
  const had = Object.keys(workflows).filter((name) => byNumbers(CAME_WITH[name] ?? '0', newest ?? '0') <= 0);
  expect(new Set(recorded)).toEqual(new Set(had));
});

function byNumbers(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
