import fc from 'fast-check';
import { IANAZone } from 'luxon';
import { describe, expect, test } from 'vitest';
import {
  heldOffset,
  nextOffsetChange,
  nextRefresh,
  offsetTime,
  utcMinute,
} from '../../../activities/backup-systems/veeam/zone-time.ts';

const WINTER = new Date('2026-01-15T12:00:00Z');
const SUMMER = new Date('2026-07-15T12:00:00Z');

describe('a local time', () => {
  test.each([
    ['03:30', 'Europe/Madrid', WINTER, '03:30:00.0000000+01:00', 1],
    ['03:30', 'Europe/Madrid', SUMMER, '03:30:00.0000000+02:00', 2],
    ['22:00', 'America/New_York', WINTER, '22:00:00.0000000-05:00', -5],
    ['00:00', 'UTC', WINTER, '00:00:00.0000000+00:00', 0],
    ['12:00', 'Pacific/Kiritimati', WINTER, '12:00:00.0000000+14:00', 14],
  ])('%s of %s at %s is %s', (local, zone, at, time, offsetHours) => {
    expect(offsetTime(local, zone, at)).toEqual({ time, offsetHours });
  });

  test.each([
    // The same moment with a whole offset: the nearest that keeps the day.
    ['22:00', 'Asia/Kolkata', '21:30:00.0000000+05:00', 5],
    ['00:10', 'Asia/Kolkata', '00:40:00.0000000+06:00', 6],
    ['00:10', 'Asia/Kathmandu', '00:25:00.0000000+06:00', 6],
    ['22:00', 'America/St_Johns', '21:30:00.0000000-04:00', -4],
    ['00:15', 'America/St_Johns', '00:45:00.0000000-03:00', -3],
    ['23:59', 'Australia/Adelaide', '23:29:00.0000000+10:00', 10],
  ])('%s of %s, which has a part of an hour, is %s', (local, zone, time, offsetHours) => {
    expect(offsetTime(local, zone, WINTER)).toEqual({ time, offsetHours });
  });

  test('means that minute of the UTC day, in every zone and at every time', () => {
    const zones = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
    const instants = fc.date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(zones, instants, fc.integer({ min: 0, max: 1439 }), (zone, at, minute) => {
        const local = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
        const { time, offsetHours } = offsetTime(local, zone, at);
        const offset = IANAZone.create(zone).offset(at.getTime());
        expect(utcMinute(time, String(offsetHours))).toBe((((minute - offset) % 1440) + 1440) % 1440);
        expect(time).toMatch(/^([01]\d|2[0-3]):[0-5]\d:00\.0000000[+-]\d{2}:00$/);
      }),
    );
  });
});

describe('the next change of an offset', () => {
  test.each([
    ['Europe/Madrid', '2026-01-15T12:00:00Z', '2026-03-29T01:00:00Z'],
    ['Europe/Madrid', '2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z'],
    ['Europe/Madrid', '2026-03-29T01:00:00Z', '2026-10-25T01:00:00Z'],
    ['America/New_York', '2026-07-01T00:00:00Z', '2026-11-01T06:00:00Z'],
    ['Australia/Lord_Howe', '2026-01-01T00:00:00Z', '2026-04-04T15:00:00Z'],
  ])('of %s after %s is %s', (zone, after, change) => {
    expect(nextOffsetChange(zone, new Date(after))?.toISOString()).toBe(new Date(change).toISOString());
  });

  test.each(['UTC', 'Asia/Tokyo', 'Asia/Kolkata', 'America/Bogota'])('of %s does not come', (zone) => {
    expect(nextOffsetChange(zone, WINTER)).toBeUndefined();
  });
});

describe('a job is written again', () => {
  test.each([
    // The clock goes from 02:00 to 03:00: what is due in between runs at the old offset first.
    ['01:59', 'Europe/Madrid', '2026-01-15T12:00:00Z', '2026-03-29T01:00:00Z'],
    ['02:00', 'Europe/Madrid', '2026-01-15T12:00:00Z', '2026-03-29T01:05:00Z'],
    ['02:30', 'Europe/Madrid', '2026-01-15T12:00:00Z', '2026-03-29T01:35:00Z'],
    ['03:00', 'Europe/Madrid', '2026-01-15T12:00:00Z', '2026-03-29T01:00:00Z'],
    // It goes from 03:00 back to 02:00: what has run is not written ahead once more.
    ['01:59', 'Europe/Madrid', '2026-07-15T12:00:00Z', '2026-10-25T01:00:00Z'],
    ['02:30', 'Europe/Madrid', '2026-07-15T12:00:00Z', '2026-10-25T01:35:00Z'],
    ['03:00', 'Europe/Madrid', '2026-07-15T12:00:00Z', '2026-10-25T01:00:00Z'],
    // Half an hour, and a gap at midnight.
    ['02:15', 'Australia/Lord_Howe', '2026-07-01T00:00:00Z', '2026-10-03T15:50:00Z'],
    ['02:30', 'Australia/Lord_Howe', '2026-07-01T00:00:00Z', '2026-10-03T15:30:00Z'],
    ['00:30', 'America/Havana', '2026-01-15T00:00:00Z', '2026-03-08T05:35:00Z'],
    ['23:30', 'America/Havana', '2026-01-15T00:00:00Z', '2026-03-08T05:00:00Z'],
  ])('%s in %s after %s at %s', (local, zone, after, at) => {
    expect(nextRefresh(local, zone, new Date(after))).toEqual(new Date(at));
  });

  test('never where the offset stays', () => {
    expect(nextRefresh('02:30', 'Asia/Kolkata', WINTER)).toBeUndefined();
  });
});

describe('a job that was not written again in time', () => {
  test.each([
    // Forward at 01:00Z: 04:30 is 02:30Z from now on and was 03:30Z.
    ['2026-03-29T00:59:00Z', undefined],
    ['2026-03-29T02:29:00Z', undefined],
    ['2026-03-29T02:31:00Z', '2026-03-29T03:35:00Z'],
    ['2026-03-29T03:29:00Z', '2026-03-29T03:35:00Z'],
    ['2026-03-29T03:31:00Z', undefined],
    ['2026-03-31T02:31:00Z', '2026-03-31T03:35:00Z'],
    ['2026-04-02T02:31:00Z', undefined],
    // Back at 01:00Z: 04:30 is 03:30Z from now on and was 02:30Z.
    ['2026-10-25T02:29:00Z', undefined],
    ['2026-10-25T02:31:00Z', '2026-10-25T03:35:00Z'],
    ['2026-10-25T03:31:00Z', undefined],
  ])('stays as it is at %s until %s', (now, until) => {
    const found = heldOffset('04:30', 'Europe/Madrid', new Date(now));
    expect(found?.until.toISOString()).toBe(until && new Date(until).toISOString());
    if (found !== undefined) expect(found.before.toISOString()).toMatch(/T00:59:59/);
  });
});

describe('a time in an answer', () => {
  test.each([
    ['18:00:00.0000000+01:00', '1', 17 * 60],
    ['22:00:00.0000000-07:00', '2', 5 * 60],
    ['2026-01-15T18:00:00.0000000+05:30', undefined, 12 * 60 + 30],
    ['18:00:00Z', undefined, 18 * 60],
    ['22:00:00.0000000', '2', 20 * 60],
    ['22:00:00.0000000', undefined, undefined],
    ['soon', '1', undefined],
    [undefined, '1', undefined],
  ])('%s with the offset %s is the minute %s', (time, offset, minute) => {
    expect(utcMinute(time, offset)).toBe(minute);
  });
});
