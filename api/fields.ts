/**
 * Fields that several documents share.
 * @module
 */
import { z } from 'zod';

/** The id in a path. */
export const Id = z.uuid();

/** A moment; answers always give UTC. */
export const Moment = z.iso.datetime().meta({ example: '2026-11-22T22:05:00.000Z' });

/** A name for people: one line, without spaces at its ends. */
export const Name = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^\s\p{C}](?:[^\p{Cc}\p{Zl}\p{Zp}]*[^\s\p{C}])?$/u, 'must be one line without spaces at its ends');

/** An IANA time zone. An offset is none: it knows nothing of summer time. */
export const TimeZone = z
  .string()
  .max(64)
  .refine(isTimeZone, 'must be an IANA time zone, for example Europe/Madrid')
  .meta({ example: 'Europe/Madrid' });

function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** The endpoint of another system. A password in it would be shown to everyone who may read it. */
export const Endpoint = z
  .string()
  .max(2_000)
  .refine(isEndpoint, 'must be an http or https URL without user, password or fragment')
  .meta({ example: 'https://avamar.example.com' });

function isEndpoint(text: string): boolean {
  if (/\s/.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && !text.includes('#');
}

/** The same moment as a text; `null` stays null. */
export function iso(date: Date): string;
export function iso(date: Date | null): string | null;
export function iso(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

/** An answer with a JSON document. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A request's body, which must be there. */
export function requiredBody<T extends z.ZodType>(schema: T) {
  return { required: true, content: { 'application/json': { schema } } } as const;
}

/** A request's body that may be left out. */
export function optionalBody<T extends z.ZodType>(schema: T) {
  return { content: { 'application/json': { schema } } } as const;
}

/** The body of a request that takes no options. */
export const NO_OPTIONS = z.strictObject({}).meta({ id: 'NoOptions' });

/** The path of a thing with an id. */
export const ID_PATH = z.object({ id: Id });

/** Every path but the open ones needs a token. */
export const BEARER = [{ bearer: [] as string[] }];
