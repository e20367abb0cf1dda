/**
 * The configuration files of the plugins.
 * @module
 */
import { readFileSync } from 'node:fs';
import { parse, YAMLError } from 'yaml';
import type { z } from 'zod';

/**
 * Reads the configuration of a plugin, in YAML or JSON.
 * @param path of the file; `undefined` means the defaults.
 * @param plugin its name, for people.
 * @throws Error that names the file, and each wrong key with what is wrong with it; never a value, which may be secret.
 */
export function readConfigFile<T extends z.ZodType>(path: string | undefined, shape: T, plugin: string): z.output<T> {
  if (path === undefined) return shape.parse({});
  let text = '';
  let content: unknown;
  try {
    text = readFileSync(path, 'utf8');
    // Its pretty errors show the line that is wrong, with all that is in it.
    content = parse(text, { prettyErrors: false }) ?? {};
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${path} cannot be read: ${why}${placeOf(cause, text)}`, { cause });
  }
  const checked = shape.safeParse(content);
  if (checked.success) return checked.data;
  const lines = checked.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw new Error(`${path} is not a configuration of the ${plugin} plugin: ${lines.join('; ')}`);
}

function placeOf(cause: unknown, text: string): string {
  return cause instanceof YAMLError ? ` (line ${text.slice(0, cause.pos[0]).split('\n').length})` : '';
}
