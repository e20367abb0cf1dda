/**
 * `/api/v1/schedules` (swagger, `ScheduleDTO` and `Schedule`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { nextRun } from './calendar.ts';
import type { AvamarEnv, Server } from './env.ts';
import { refuseDuplicate, refuseReadOnly, refuseUsed } from './named-objects.ts';
import { bodyOf, chosenFields, dateTime, inInclusion, notFound, page, vendorEnum } from './spring.ts';
import type { Schedule } from './state.ts';
import { isTimeZoneId, TIME_ZONE_IDS } from './time-zones.ts';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const Time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'write HH:mm');
const DayOfMonth = z.string().regex(/^([1-9]|1\d|2[0-8]|last)$/, 'write 1 to 28, or last');

const ScheduleDTO = z
  .object({
    name: z.string().min(1),
    domainFqdn: z.string().startsWith('/').default('/'),
    recurrenceEnum: vendorEnum(['Daily', 'Weekly', 'Monthly', 'OnDemand']),
    startTime: Time.optional(),
    duration: z.number().int().positive().default(8),
    timeZoneId: z
      .string()
      .refine((id) => isTimeZoneId(id), 'unknown time zone')
      .optional(),
    dailyData: z.object({ timesOfDay: z.array(Time).min(1) }).optional(),
    weeklyData: z.object({ daysOfWeek: z.array(vendorEnum(DAYS)).min(1) }).optional(),
    monthlyData: z
      .object({
        typeEnum: vendorEnum(['NthDay', 'NthWeekDay']),
        nthDay: DayOfMonth.optional(),
        nthWeekDay: vendorEnum(['first', 'second', 'third', 'fourth', 'last']).optional(),
        dayOfWeek: vendorEnum(DAYS).optional(),
      })
      .optional(),
    postponeUntilDate: z.iso.datetime({ offset: true }).optional(),
    endDate: z.iso.datetime({ offset: true }).optional(),
  })
  .superRefine((schedule, context) => {
    const { recurrenceEnum, startTime, dailyData, weeklyData, monthlyData } = schedule;
    const miss = (path: string) =>
      context.addIssue({ code: 'custom', path: [path], message: `needed for ${recurrenceEnum}` });
    if (recurrenceEnum === 'Daily' && dailyData === undefined && startTime === undefined) miss('dailyData');
    if (recurrenceEnum === 'Weekly' && weeklyData === undefined) miss('weeklyData');
    if (recurrenceEnum === 'Monthly') {
      if (monthlyData === undefined) miss('monthlyData');
      else if (monthlyData.typeEnum === 'NthDay' && monthlyData.nthDay === undefined) miss('monthlyData');
      else if (monthlyData.typeEnum === 'NthWeekDay' && (!monthlyData.nthWeekDay || !monthlyData.dayOfWeek))
        miss('monthlyData');
    }
    if ((recurrenceEnum === 'Weekly' || recurrenceEnum === 'Monthly') && startTime === undefined) miss('startTime');
  });

export function schedules(server: Server): Hono<AvamarEnv> {
  const { state, clock, scheduler } = server;
  const need = (id: string): Schedule => {
    const schedule = state.schedules.get(id);
    if (schedule === undefined) throw notFound('Schedule', id);
    return schedule;
  };
  const complete = (dto: z.infer<typeof ScheduleDTO>, id: string): Schedule => ({
    ...dto,
    id,
    startTime: dto.startTime ?? dto.dailyData?.timesOfDay[0] ?? '00:00',
    timeZoneId: dto.timeZoneId ?? server.settings().timeZoneId,
    readOnly: false,
  });
  const view = (schedule: Schedule) => {
    const next = nextRun(schedule, clock.now());
    return { ...schedule, ...(next === undefined ? {} : { nextRunTime: dateTime(next) }) };
  };
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.schedules.values().filter(({ domainFqdn }) => inInclusion(c, domainFqdn));
    return c.json(page(c, asked.map(view)));
  });
  routes.get('/timezone-ids', (c) => c.json(TIME_ZONE_IDS));
  // The swagger says "object": the form of the answer is ours.
  routes.post('/next-run-time', async (c) => {
    const next = nextRun(complete(await bodyOf(c, ScheduleDTO), ''), clock.now());
    return c.json(next === undefined ? {} : { nextRunTime: dateTime(next) });
  });
  routes.post('/run/:id', (c) => {
    scheduler.run(need(c.req.param('id')));
    return c.body(null, 204);
  });
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, ScheduleDTO);
    refuseDuplicate('Schedule', state.schedules.values(), dto.name, dto.domainFqdn);
    const id = `SD${state.nextNumber()}`;
    return c.json(view(state.schedules.put(id, complete(dto, id))), 201);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const { id } = refuseReadOnly('Schedule', need(c.req.param('id')));
    const dto = await bodyOf(c, ScheduleDTO);
    refuseDuplicate('Schedule', state.schedules.values(), dto.name, dto.domainFqdn, id);
    return c.json(view(state.schedules.put(id, complete(dto, id))));
  });
  routes.delete('/:id', (c) => {
    const { id } = refuseReadOnly('Schedule', need(c.req.param('id')));
    refuseUsed('Schedule', id, [...state.groups.values(), ...state.replicationGroups.values()], 'scheduleId');
    state.schedules.delete(id);
    return c.body(null, 204);
  });
  return routes;
}
