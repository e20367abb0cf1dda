import type { MiddlewareHandler } from 'hono';
import type { AvamarEnv } from './env.ts';

/** What goes wrong with pages of a list. In memory: a restarted simulator is a healthy one. */
export type PageFault = {
  /** `repeat`: a later page shows the first again. `short`: a page lacks half of its entries. `truncated`: its text ends in the middle. */
  kind: 'repeat' | 'short' | 'truncated';
  /** The list's path below `/api/v1`, e.g. `/activities`; absent: any. */
  path?: string | undefined;
  times?: number | undefined;
};
export type PageFaults = ReturnType<typeof createPageFaults>;

type Page = { content: unknown[]; number: number; pageable: unknown };

const isPage = (answer: unknown): answer is Page =>
  typeof answer === 'object' && answer !== null && 'content' in answer && 'pageable' in answer;

export function createPageFaults() {
  let faults: PageFault[] = [];
  /** What the first pages of lists showed, for those that are to show it again. */
  const firstPages = new Map<string, unknown[]>();

  /** The first that strikes this page; used up by it. */
  const take = (path: string, number: number): PageFault['kind'] | undefined => {
    const found = faults.find(
      (fault) =>
        (fault.path === undefined || `/api/v1${fault.path}` === path) && (fault.kind !== 'repeat' || number > 0),
    );
    if (found?.times !== undefined) {
      found.times -= 1;
      if (found.times <= 0) faults = faults.filter((fault) => fault !== found);
    }
    return found?.kind;
  };

  const middleware: MiddlewareHandler<AvamarEnv> = async (c, next) => {
    await next();
    if (faults.length === 0 || c.req.method !== 'GET' || c.res.status !== 200) return;
    const text = await c.res.clone().text();
    const answer: unknown = text === '' ? undefined : JSON.parse(text);
    if (!isPage(answer)) return;
    const url = new URL(c.req.url);
    url.searchParams.delete('page');
    if (answer.number === 0) firstPages.set(url.pathname + url.search, answer.content);
    const kind = take(url.pathname, answer.number);
    const first = firstPages.get(url.pathname + url.search) ?? [];
    if (kind === 'truncated') c.res = new Response(text.slice(0, Math.floor(text.length / 2)), c.res);
    if (kind === 'repeat') c.res = c.json({ ...answer, content: first, numberOfElements: first.length });
    if (kind === 'short') {
      const content = answer.content.slice(0, Math.floor(answer.content.length / 2));
      c.res = c.json({ ...answer, content, numberOfElements: content.length });
    }
  };

  return {
    middleware,
    list: (): PageFault[] => faults,
    add: (fault: PageFault): void => void faults.push(fault),
    clear: (): void => {
      faults = [];
      firstPages.clear();
    },
  };
}
