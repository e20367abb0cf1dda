import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ERRORS, errorDefinition, isErrorCode } from '../../../domain/errors.ts';

const folder = new URL('../../../docs/errors/', import.meta.url);

test('every error code has a page, and every page a code', async () => {
  const pages = (await readdir(folder)).map((file) => file.replace(/\.md$/, ''));
  expect(pages.toSorted()).toEqual(Object.keys(ERRORS).toSorted());
});

test.each(Object.keys(ERRORS).filter(isErrorCode))(
  'the page of %s tells what it is and how to fix it',
  async (code) => {
    const page = await readFile(new URL(`${code}.md`, folder), 'utf8');
    const { title, status, legacy } = errorDefinition(code);
    expect(page.startsWith(`# ${code}\n`)).toBe(true);
    expect(page).toContain(`${title}. HTTP status ${status}.`);
    if (legacy !== undefined) expect(page).toContain(`Legacy code ${legacy}, of the platform Abiquo.`);
    expect(page).toMatch(/## What happened\n\n\S[^]+\n\n## How to fix it\n\n\S/);
  },
);
