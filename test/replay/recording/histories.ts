/**
 * Recorded histories: files of JSON, one for each run, in a folder for each released version.
 * @module
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { Client } from '@temporalio/client';

const FOLDER = fileURLToPath(new URL('../histories', import.meta.url));

/** A history as it is kept. */
export interface RecordedHistory {
  readonly version: string;
  /** `<workflow type>-<what happened>`. */
  readonly name: string;
  readonly text: string;
}

/** All histories of all versions. */
export function recordedHistories(): RecordedHistory[] {
  return readdirSync(FOLDER).flatMap((version) =>
    readdirSync(join(FOLDER, version)).map((file) => ({
      version,
      name: file.replace(/\.json$/, ''),
      text: readFileSync(join(FOLDER, version, file), 'utf8'),
    })),
  );
}

/** A recorder for one version; what was recorded of it before is replaced. */
export function historyRecorder(client: Client, version: string) {
  const folder = join(FOLDER, version);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return async (what: string, run: { readonly workflowId: string; readonly runId?: string | undefined }) => {
    const handle = client.workflow.getHandle(run.workflowId, run.runId);
    const { type } = await handle.describe();
    const history = neutral(JSON.parse(historyToJSON(await handle.fetchHistory())));
    writeFileSync(join(folder, `${type}-${what}.json`), `${JSON.stringify(history)}\n`);
  };
}

/** What tells of the machine that recorded and is nothing to a replay: who worked, and where its code lies. */
function neutral(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => neutral(item));
  if (typeof value === 'object' && value !== null) {
    const sticky = 'kind' in value && value.kind === 'TASK_QUEUE_KIND_STICKY';
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, sticky && name === 'name' ? 'sticky' : neutral(item, name)]),
    );
  }
  if (key === 'identity') return 'recorder';
  return key === 'stackTrace' ? '' : value;
}

/** Everything that the history says, payloads too, as text. */
export function readable(text: string): string {
  return text.replaceAll(/"data":"([A-Za-z0-9+/=]*)"/g, (_, data: string) => Buffer.from(data, 'base64').toString());
}
