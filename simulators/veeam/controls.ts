/**
 * `/_simulator`: what a test or a demo does to the simulator behind its clients' backs. Needs no session.
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { BadBody, checkedBody } from '../kit/checked-body.ts';
import type { Server, VeeamEnv } from './env.ts';
import { idOf } from './kind.ts';
import { Settings } from './settings.ts';
import { refText } from './state.ts';
import { addTemplate } from './templates.ts';

const Outcome = z.strictObject({
  vmName: z.string().optional(),
  jobName: z.string().optional(),
  kind: z.enum(['backup', 'restore']).optional(),
  result: z.enum(['Success', 'Warning', 'Failed']),
  reason: z.string().optional(),
  originalRemoved: z.boolean().optional(),
  times: z.number().int().positive().optional(),
});
const PageFault = z.strictObject({
  kind: z.enum(['repeat', 'short', 'truncated']),
  type: z.string().optional(),
  times: z.number().int().positive().optional(),
});
const Template = z.strictObject({ name: z.string().min(1).max(50), description: z.string().optional() });
const JobChange = z.strictObject({
  name: z.string().min(1).optional(),
  description: z.string().optional(),
  scheduleEnabled: z.boolean().optional(),
});

export function controls(server: Server): Hono<VeeamEnv> {
  const { state, clock, settings, outcomes, pageFaults, sessions } = server;
  const time = () => ({ now: new Date(clock.now()).toISOString(), offsetSeconds: clock.offsetSeconds() });
  const routes = new Hono<VeeamEnv>();

  routes.get('/settings', (c) => c.json(settings()));
  routes.post('/settings', async (c) => {
    server.changeSettings((await checkedBody(c, Settings.partial())) as Partial<Settings>);
    return c.json(settings());
  });

  routes.get('/clock', (c) => c.json(time()));
  routes.post('/clock', async (c) => {
    const { advanceSeconds } = await checkedBody(c, z.strictObject({ advanceSeconds: z.number() }));
    clock.advance(advanceSeconds);
    // What became due has begun when the answer arrives, so that nobody has to wait for the next beat.
    await server.beat();
    return c.json(time());
  });

  routes.get('/outcomes', (c) => c.json({ outcomes: outcomes.list() }));
  routes.post('/outcomes', async (c) => {
    outcomes.add(await checkedBody(c, Outcome));
    return c.json({ outcomes: outcomes.list() }, 201);
  });
  routes.delete('/outcomes', (c) => {
    outcomes.clear();
    return c.body(null, 204);
  });

  routes.get('/pages', (c) => c.json({ pages: pageFaults.list() }));
  routes.post('/pages', async (c) => {
    pageFaults.add(await checkedBody(c, PageFault));
    return c.json({ pages: pageFaults.list() }, 201);
  });
  routes.delete('/pages', (c) => {
    pageFaults.clear();
    return c.body(null, 204);
  });

  // As after a restart of the service: every client has to log in again, and no task can be asked about.
  routes.get('/sessions', (c) => c.json({ count: sessions.count }));
  routes.delete('/sessions', (c) => {
    sessions.endAll();
    return c.body(null, 204);
  });

  routes.get('/jobs', (c) =>
    c.json({
      jobs: state.jobs.values().map((job) => ({
        id: job.id,
        name: job.name,
        description: job.description,
        scheduleConfigured: job.scheduleConfigured,
        scheduleEnabled: job.scheduleEnabled,
        schedule: job.schedule,
        retention: job.retention,
        includes: job.includes.map(({ ref, name }) => ({ ref: refText(ref), name })),
      })),
    }),
  );
  routes.post('/jobs', async (c) => {
    const { id, name } = addTemplate(state, await checkedBody(c, Template));
    return c.json({ id, name }, 201);
  });
  routes.patch('/jobs/:id', async (c) => {
    const job = state.jobs.get(idOf(c.req.param('id')));
    if (job === undefined) throw new BadBody('There is no such job.');
    const { name, description, scheduleEnabled } = await checkedBody(c, JobChange);
    const changed = state.jobs.put(job.id, {
      ...job,
      name: name ?? job.name,
      description: description ?? job.description,
      scheduleEnabled: scheduleEnabled ?? job.scheduleEnabled,
    });
    return c.json({ id: changed.id, name: changed.name });
  });
  routes.delete('/jobs/:id', (c) => {
    state.jobs.delete(idOf(c.req.param('id')));
    return c.body(null, 204);
  });
  routes.post('/jobs/:id/start', (c) => {
    const job = state.jobs.get(idOf(c.req.param('id')));
    const started = job === undefined ? undefined : server.runs.start(job);
    if (started === undefined) throw new BadBody('There is no such job, or it is running.');
    return c.json({ id: started.id }, 201);
  });
  routes.delete('/points/:id', (c) => {
    state.points.delete(idOf(c.req.param('id')));
    return c.body(null, 204);
  });
  return routes;
}
