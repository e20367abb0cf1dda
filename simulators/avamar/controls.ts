/**
 * `/_simulator`: what a test or a demo does to the simulator behind its clients' backs. Needs no token.
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { checkedBody } from '../kit/checked-body.ts';
import { administration } from './administration.ts';
import type { AvamarEnv, Server } from './env.ts';
import { Settings } from './settings.ts';

const Outcome = z.strictObject({
  clientName: z.string().optional(),
  cid: z.string().optional(),
  kind: z.enum(['backup', 'restore', 'replication']).optional(),
  state: z.string(),
  errorCode: z.number().int().optional(),
  codeReason: z.string().optional(),
  times: z.number().int().positive().optional(),
});

const PageFault = z.strictObject({
  kind: z.enum(['repeat', 'short', 'truncated']),
  path: z.string().startsWith('/').optional(),
  times: z.number().int().positive().optional(),
});

export function controls(server: Server, beat: () => Promise<void>): Hono<AvamarEnv> {
  const { state, clock, settings, outcomes, pageFaults } = server;
  const time = () => ({ now: new Date(clock.now()).toISOString(), offsetSeconds: clock.offsetSeconds() });
  return (
    new Hono<AvamarEnv>()
      .get('/settings', (c) => c.json(settings()))
      .post('/settings', async (c) => {
        server.changeSettings((await checkedBody(c, Settings.partial())) as Partial<Settings>);
        return c.json(settings());
      })
      .get('/clock', (c) => c.json(time()))
      .post('/clock', async (c) => {
        const { advanceSeconds } = await checkedBody(c, z.strictObject({ advanceSeconds: z.number() }));
        clock.advance(advanceSeconds);
        // What became due has begun when the answer arrives, so that nobody has to wait for the next beat.
        await beat();
        return c.json(time());
      })
      .get('/outcomes', (c) => c.json({ outcomes: outcomes.list() }))
      .post('/outcomes', async (c) => {
        outcomes.add(await checkedBody(c, Outcome));
        return c.json({ outcomes: outcomes.list() }, 201);
      })
      .delete('/outcomes', (c) => {
        outcomes.clear();
        return c.body(null, 204);
      })
      .get('/pages', (c) => c.json({ pages: pageFaults.list() }))
      .post('/pages', async (c) => {
        pageFaults.add(await checkedBody(c, PageFault));
        return c.json({ pages: pageFaults.list() }, 201);
      })
      .delete('/pages', (c) => {
        pageFaults.clear();
        return c.body(null, 204);
      })
      // As when the server's key has changed: every client has to log in again, with its password.
      .get('/sessions', (c) => c.json({ count: state.tokens.size }))
      .delete('/sessions', (c) => {
        for (const { accessToken } of state.tokens.values()) state.tokens.delete(accessToken);
        return c.body(null, 204);
      })
      .route('/', administration(server))
  );
}
