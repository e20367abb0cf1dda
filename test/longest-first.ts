import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Where the tests are that wait longest, the longest first. */
const LONG = ['/test/conformance/', '/test/acceptance/', '/test/integration/operations/'];

const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = LONG.findIndex((folder) => moduleId.includes(folder));
  return place < 0 ? LONG.length : place;
};

/**
 * Begins with the files that take long, so that nobody waits for them at the end. By itself vitest goes by the times of
 * an earlier run, and on a machine without one by the sizes of the files, which say nothing.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
