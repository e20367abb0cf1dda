type Schema = { [keyword: string]: any };

/** A body that is wrong in one place, and what is wrong with it. */
export type Spoilt = { what: string; body: unknown };

/** A value that no program can take for one of the schema. */
function wrongFor({ type, format, enum: values, $ref }: Schema): unknown {
  if (values !== undefined) return 'NONSENSE';
  if ($ref !== undefined || type === 'object' || type === 'array') return 'nothing of the kind';
  if (type === 'string') return format === 'date-time' ? 'some day' : { not: 'a text' };
  return 'many';
}

/** Everything that can be wrong with a body by its schema: what is needed is missing, what is there is of another kind. */
export function spoiltBy(definitions: Record<string, Schema>, schema: Schema, body: unknown): Spoilt[] {
  const shape =
    (schema['$ref'] === undefined ? schema : definitions[schema['$ref'].replace('#/definitions/', '')]) ?? {};
  if (shape['type'] === 'array') {
    const [first, ...others] = Array.isArray(body) ? body : [];
    const inside = first === undefined ? [] : spoiltBy(definitions, shape['items'], first);
    const wrong = { what: 'not a list', body: { not: 'a list' } };
    return [wrong, ...inside.map((one) => ({ what: `[0] ${one.what}`, body: [one.body, ...others] }))];
  }
  if (shape['properties'] === undefined) return [{ what: 'of another kind', body: wrongFor(shape) }];
  const given = body as Record<string, unknown>;
  const required: string[] = shape['required'] ?? [];
  const missing = required.map((name) => {
    const { [name]: _, ...rest } = given;
    return { what: `without ${name}`, body: rest };
  });
  const properties = Object.entries(shape['properties'] as Record<string, Schema>);
  const wrong = properties.map(([name, property]) => ({
    what: `with another kind of ${name}`,
    body: { ...given, [name]: wrongFor(property) },
  }));
  const deeper = properties
    .filter(([name]) => typeof given[name] === 'object' && given[name] !== null)
    .flatMap(([name, property]) =>
      spoiltBy(definitions, property, given[name]).map((one) => ({
        what: `${name}: ${one.what}`,
        body: { ...given, [name]: one.body },
      })),
    );
  return [...missing, ...wrong, ...deeper];
}
