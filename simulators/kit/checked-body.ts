import type { Context } from 'hono';
import { z } from 'zod';

/** A body that is not what the protocol wants; each simulator words it in its own error shape. */
export class BadBody extends Error {}

/** The JSON body of a request, checked. An absent body counts as `{}`. @throws BadBody */
export async function checkedBody<S extends z.ZodType>(c: Context, schema: S): Promise<z.infer<S>> {
  const text = await c.req.text();
  let value: unknown = {};
  try {
    if (text !== '') value = JSON.parse(text);
  } catch {
    throw new BadBody('The body is not JSON.');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new BadBody(z.prettifyError(parsed.error));
  return parsed.data;
}
