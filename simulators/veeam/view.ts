import type { Context } from 'hono';
import type { Element, Link } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';

/** How the server shows itself in one answer: its address and its times. */
export type View = {
  /** `/jobs/…` with the server's own idea of its host and scheme. */
  href: (path: string) => string;
  time: (at: number) => string;
  now: number;
};

export function viewOf(c: Context<VeeamEnv>, { settings, clock }: Server): View {
  const { advertisedHost, timestamps } = settings();
  const base = (advertisedHost ?? new URL(c.req.url).origin).replace(/\/+$/, '');
  return {
    href: (path) => `${base}/api${path}`,
    time(at) {
      const iso = new Date(at).toISOString();
      if (timestamps === 'seconds') return `${iso.slice(0, 19)}Z`;
      return timestamps === 'milliseconds' ? iso : `${iso.slice(0, -1)}000Z`;
    },
    now: clock.now(),
  };
}

/** An element of the kind that the vendor calls a resource: with its type and address. */
export const resource = (
  type: string,
  href: string,
  children: readonly Element[],
  more: Element['attributes'] = {},
) => ({
  name: type,
  attributes: { Type: type, Href: href, ...more },
  children,
});

export const down = (view: View, path: string, type: string): Link => ({ rel: 'Down', href: view.href(path), type });
