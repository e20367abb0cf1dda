/**
 * Following operations to their end, in the words that a person reads.
 * @module
 */
import { type Operation, Operation as OperationDocument, hasEnded, VirtualMachine } from './documents.ts';
import { type Actor, type Story, StoryEnds, until } from './story.ts';
import { duration, slug } from './wording.ts';

/** An operation may take so long in the demo, backups and their waiting included. */
const LIMIT_SECONDS = 300;

/** Reads the VM as the platform sees it. */
export function readVm({ platform }: Pick<Story, 'platform'>, vm: { readonly id: string }): Promise<VirtualMachine> {
  return platform.get(`/v1/virtual-machines/${vm.id}`, VirtualMachine);
}

/** Waits for operations that run side by side; tells of each when it ends. @returns them as they ended. */
export async function ended(story: Story, begun: readonly Operation[]): Promise<Operation[]> {
  const current = new Map(begun.map((operation) => [operation.id, operation]));
  const open = () => [...current.values()].filter((operation) => !hasEnded(operation));
  const told = new Set<string>();
  await until(
    story,
    {
      get text() {
        return open().map(underWay).join(', ');
      },
      seconds: LIMIT_SECONDS,
      look: begun.map(({ links }) => links.temporalUi).join(' '),
    },
    async () => {
      for (const { id } of open()) {
        current.set(id, await story.admin.get(`/v1/operations/${id}`, OperationDocument));
      }
      for (const operation of current.values()) {
        if (!hasEnded(operation) || told.has(operation.id)) continue;
        told.add(operation.id);
        story.screen.line(`${slug(operation.kind)} ${operation.vm.name}: ${operation.state}${took(operation)}`);
      }
      return open().length === 0 ? true : undefined;
    },
  );
  return begun.map(({ id }) => current.get(id)).filter((operation) => operation !== undefined);
}

/**
 * Waits for operations that must succeed for the story to go on.
 * @throws StoryEnds with the reason of the first that did not.
 */
export async function succeeded(story: Story, begun: readonly Operation[]): Promise<Operation[]> {
  const operations = await ended(story, begun);
  const failed = operations.find(({ state }) => state !== 'SUCCEEDED');
  if (failed === undefined) return operations;
  const { kind, vm, state, error, links } = failed;
  const words = error === null ? '' : `: ${error.code}, ${error.message}`;
  throw new StoryEnds({ what: `${slug(kind)} of ${vm.name} ended ${state}${words}`, look: links.temporalUi });
}

function underWay({ kind, vm, steps, progress, attentionReason }: Operation): string {
  const step = steps.find(({ state }) => state === 'RUNNING')?.name;
  return [slug(kind), vm.name, step, progress > 0 ? `${progress} %` : '', attentionReason].filter(Boolean).join(' ');
}

function took({ createdAt, finishedAt }: Operation): string {
  return finishedAt === null ? '' : ` in ${duration(Date.parse(finishedAt) - Date.parse(createdAt))}`;
}

/** Waits until nothing holds the VM. */
export async function unlocked(story: Story, vm: Pick<Actor, 'id' | 'name'>): Promise<VirtualMachine> {
  let holder = 'somebody';
  return await until(
    story,
    {
      get text() {
        return `${vm.name} is held by ${holder}; waiting`;
      },
      seconds: LIMIT_SECONDS,
      look: `GET /v1/virtual-machines/${vm.id}`,
    },
    async () => {
      const seen = await readVm(story, vm);
      if (seen.lock === null) return seen;
      holder = `a ${slug(seen.lock.kind)}`;
      return undefined;
    },
  );
}
