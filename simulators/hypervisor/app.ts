/**
 * A stand-in for a vCenter with a small JSON protocol of its own. Everything is idempotent by the caller's VM id, so a
 * request whose answer was lost can be repeated.
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { BadBody, checkedBody } from '../kit/checked-body.ts';
import { createFaults, type Env } from '../kit/faults.ts';
import { createRequestLog } from '../kit/request-log.ts';
import { DiskSpec, Hardware, type Inventory, Refusal, type Vm } from './inventory.ts';

const VERSION = '1.0.0';

const NewVm = Hardware.extend({ annotation: z.string().optional() });
const Change = Hardware.pick({ cpu: true, memoryMiB: true, disks: true })
  .extend({ keepAttached: z.boolean() })
  .partial();
const PowerState = z.object({ state: z.enum(['ON', 'OFF']) });
const Content = z.object({ content: z.string() });
const Restored = z.object({
  disks: z.record(z.string(), z.string()),
  configuration: Hardware.pick({ cpu: true, memoryMiB: true, disks: true }).optional(),
});
const Identity = z.object({
  id: z.string().min(1).nullable(),
  annotation: z.string().optional(),
  takenFrom: z.string().min(1).optional(),
});
const RestoredAsNew = Hardware.extend({
  disks: z.array(DiskSpec.extend({ content: z.string().default('') })),
  annotation: z.string().optional(),
  key: z.string().optional(),
});

function detail(vm: Vm) {
  const { key: _key, ...shown } = vm;
  return shown;
}

/** Without what is on the disks: the list stays small. */
const summary = (vm: Vm) => ({
  ...detail(vm),
  disks: vm.disks.map(({ label, sizeGiB, attached }) => ({ label, sizeGiB, attached })),
});

function allocations(inventory: Inventory): Hono<Env> {
  return new Hono<Env>()
    .put('/:id', async (c) => {
      const { allocation, created } = inventory.allocate(c.req.param('id'), await checkedBody(c, Hardware));
      return c.json({ id: allocation.id, host: allocation.host }, created ? 201 : 200);
    })
    .get('/:id', (c) => c.json(inventory.allocation(c.req.param('id'))))
    .delete('/:id', (c) => {
      inventory.deallocate(c.req.param('id'));
      return c.body(null, 204);
    });
}

function vms(inventory: Inventory): Hono<Env> {
  return new Hono<Env>()
    .get('/', (c) => c.json({ vms: inventory.list().map(summary) }))
    .get('/:id', (c) => c.json(detail(inventory.get(c.req.param('id')))))
    .put('/:id', async (c) => {
      const { annotation, ...hardware } = await checkedBody(c, NewVm);
      const { vm, created } = inventory.create(c.req.param('id'), hardware, annotation);
      return c.json(detail(vm), created ? 201 : 200);
    })
    .patch('/:id', async (c) => {
      const { cpu, memoryMiB, disks, keepAttached } = await checkedBody(c, Change);
      const wanted = {
        ...(cpu === undefined ? {} : { cpu }),
        ...(memoryMiB === undefined ? {} : { memoryMiB }),
        ...(disks === undefined ? {} : { disks }),
        ...(keepAttached === undefined ? {} : { keepAttached }),
      };
      return c.json(detail(inventory.reconfigure(c.req.param('id'), wanted)));
    })
    .put('/:id/power', async (c) => {
      const { state } = await checkedBody(c, PowerState);
      return c.json(detail(inventory.power(inventory.get(c.req.param('id')), state)));
    })
    .delete('/:id', (c) => {
      inventory.destroy(inventory.find(c.req.param('id')));
      return c.body(null, 204);
    })
    .get('/:id/disks/:label/content', (c) => {
      const { id, label } = c.req.param();
      const disk = inventory.get(id).disks.find((candidate) => candidate.label === label);
      if (disk === undefined) throw new Refusal(404, 'NO_SUCH_DISK', `${id} has no disk ${label}.`);
      return c.json({ content: disk.content });
    })
    .put('/:id/disks/:label/content', async (c) => {
      const { content } = await checkedBody(c, Content);
      inventory.writeDisk(c.req.param('id'), c.req.param('label'), content);
      return c.json({ content });
    });
}

/** What a backup system does on a hypervisor, by reference: it knows no ids of a caller. */
function morefs(inventory: Inventory): Hono<Env> {
  return new Hono<Env>()
    .post('/', async (c) => {
      const { annotation, key, ...spec } = await checkedBody(c, RestoredAsNew);
      return c.json(detail(inventory.restoreAsNew(spec, key, annotation)), 201);
    })
    .get('/:moref', (c) => c.json(detail(inventory.getByMoref(c.req.param('moref')))))
    .get('/:moref/contents', (c) => {
      const attached = inventory.getByMoref(c.req.param('moref')).disks.filter((disk) => disk.attached);
      return c.json({ disks: Object.fromEntries(attached.map(({ label, content }) => [label, content])) });
    })
    .put('/:moref/contents', async (c) => {
      const { disks, configuration } = await checkedBody(c, Restored);
      return c.json(detail(inventory.overwrite(c.req.param('moref'), disks, configuration)));
    })
    .put('/:moref/power', async (c) => {
      const { state } = await checkedBody(c, PowerState);
      return c.json(detail(inventory.power(inventory.getByMoref(c.req.param('moref')), state)));
    })
    .put('/:moref/identity', async (c) => {
      const { id, annotation, takenFrom } = await checkedBody(c, Identity);
      const also = {
        ...(annotation === undefined ? {} : { annotation }),
        ...(takenFrom === undefined ? {} : { takenFrom }),
      };
      return c.json(detail(inventory.identify(c.req.param('moref'), id, also)));
    })
    .delete('/:moref', (c) => {
      inventory.destroy(inventory.findByMoref(c.req.param('moref')));
      return c.body(null, 204);
    });
}

/** The HTTP application over an inventory. */
export function createHypervisorApp(inventory: Inventory): Hono<Env> {
  const faults = createFaults();
  const requests = createRequestLog();
  const app = new Hono<Env>();

  app.route('/_simulator/faults', faults.routes);
  app.route('/_simulator/requests', requests.routes);
  app.get('/_simulator/effects', (c) => c.json({ effects: inventory.effects() }));

  app.use(requests.middleware, faults.middleware);
  app.get('/about', (c) =>
    c.json({ name: 'Hypervisor Simulator', version: VERSION, instanceUuid: inventory.instanceUuid() }),
  );
  app.route('/allocations', allocations(inventory));
  app.route('/vms', vms(inventory));
  app.route('/morefs', morefs(inventory));

  app.notFound((c) => c.json({ code: 'NO_SUCH_ROUTE', message: `${c.req.method} ${c.req.path} is not offered.` }, 404));
  app.onError((error, c) => {
    if (error instanceof Refusal) return c.json({ code: error.code, message: error.message }, error.status);
    if (error instanceof BadBody) return c.json({ code: 'BAD_REQUEST', message: error.message }, 400);
    console.error(error);
    return c.json({ code: 'INTERNAL', message: error.message }, 500);
  });
  return app;
}
