/**
 * The workflows as a later release might change them.
 * @module
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

/** In a file of `workflows/`, a text and what stands in its place. */
export interface Change {
  readonly file: string;
  readonly text: string;
  readonly becomes: string;
}

export interface ChangedWorkflows {
  /** For the bundler. */
  readonly workflowsPath: string;
  remove(): void;
}

/** Makes a copy of the workflows with these changes. */
export function changedWorkflows(changes: readonly Change[]): ChangedWorkflows {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-changed-'));
  for (const name of ['workflows', 'domain']) cpSync(join(REPOSITORY, name), join(folder, name), { recursive: true });
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(REPOSITORY, name), join(folder, name));
  symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
  for (const { file, text, becomes } of changes) {
    const path = join(folder, 'workflows', file);
    const before = readFileSync(path, 'utf8');
    if (!before.includes(text)) throw new Error(`${file} has no such text to change: ${text}`);
    writeFileSync(path, before.replace(text, becomes));
  }
  return {
    workflowsPath: join(folder, 'workflows', 'index.ts'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const PATCH_IMPORT = "import { patched } from '@temporalio/workflow';\n";

/** A deploy and a backup that first ask for running sessions, which they do not today. */
export function askFirst(guarded: boolean): Change[] {
  const ask = 'await operation.ensureNoSession();';
  return ['deploy-vm.ts', 'backup-vm.ts'].flatMap((file): Change[] => {
    const story = /async \(operation\) => \{\n/.exec(readFileSync(join(REPOSITORY, 'workflows', file), 'utf8'))?.[0];
    if (story === undefined) throw new Error(`${file} tells no story`);
    const first = guarded ? `if (patched('ask-first')) ${ask}` : ask;
    const change: Change = { file, text: story, becomes: `${story}    ${first}\n` };
    return guarded ? [change, { file, text: 'import ', becomes: `${PATCH_IMPORT}import ` }] : [change];
  });
}
