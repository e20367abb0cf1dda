import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { spoiltBy } from './avamar-spoilt.ts';

/** One request and its answer, as they went over the wire. */
export type Exchange = { method: string; url: string; request: unknown; status: number; answer: unknown };

type Schema = { [keyword: string]: any };
type Operation = {
  parameters?: { in: string; name: string; schema?: Schema; required?: boolean }[];
  responses: Record<string, { schema?: Schema }>;
};
type Swagger = { paths: Record<string, Record<string, Operation>>; definitions: Record<string, Schema> };

/** Where the vendor's description may be: in the file that is named, or in `specs/avamar` beside a folder above this one. */
function vendorFile(): string | undefined {
  const named = process.env['HOLDFAST_AVAMAR_SWAGGER'];
  if (named !== undefined && named !== '') return named;
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    for (const specs of [join(folder, 'specs/avamar'), join(folder, 'shared/specs/avamar')]) {
      const file = existsSync(specs) ? readdirSync(specs).find((name) => name.endsWith('swagger.json')) : undefined;
      if (file !== undefined) return join(specs, file);
    }
  }
  return undefined;
}

/** Refused input and an absent vCenter: the vendor's description lists neither status; that 400 is used was seen live. */
const UNLISTED = [400, 503];
/** A query parameter that live servers were seen to take, and the description does not know. */
const SEEN_LIVE = ['type'];
const ERROR = '#/definitions/Error';

// The description shows a Java Object as an object without properties; it may be anything. The result of a task is so
// described in one place, and as a list in another.
const isAnything = ({ type, properties, additionalProperties }: Schema): boolean =>
  type === 'object' && properties === undefined && additionalProperties === undefined;

// The vendor's schemas say nothing of unknown properties: an answer has none. Requests may have some, write enums in any
// case, and null for what they leave out: clients of live servers do.
function tightened(schema: Schema, side: 'request' | 'answer'): Schema {
  const { $ref, type, format, items, properties, required, additionalProperties, enum: values } = schema;
  if ($ref !== undefined) return { $ref };
  if (isAnything(schema)) return {};
  const isNullable = (name: string): boolean => side === 'request' && required?.includes(name) !== true;
  const inside = (name: string, property: Schema): Schema => {
    const tight = tightened(property, side);
    return isNullable(name) ? { anyOf: [tight, { type: 'null' }] } : tight;
  };
  const words = (): Schema =>
    side === 'answer' || type !== 'string'
      ? { enum: values }
      : { pattern: `^(${values.map((value: string) => anyCase(value)).join('|')})$` };
  return {
    ...(type === undefined ? {} : { type }),
    ...(format === undefined ? {} : { format }),
    ...(required === undefined ? {} : { required }),
    ...(items === undefined ? {} : { items: tightened(items, side) }),
    ...(values === undefined ? {} : words()),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: tightened(additionalProperties, side) }
      : {}),
    ...(properties === undefined
      ? {}
      : {
          ...(side === 'answer' ? { additionalProperties: false } : {}),
          properties: Object.fromEntries(
            Object.entries(properties as Record<string, Schema>).map(([name, property]) => [
              name,
              inside(name, property),
            ]),
          ),
        }),
  };
}
const anyCase = (word: string): string =>
  word.replaceAll(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);

/** What the vendor describes, ready to judge exchanges; undefined where the description is not present. */
export function vendorContract() {
  const file = vendorFile();
  if (file === undefined) return undefined;
  const swagger = JSON.parse(readFileSync(file, 'utf8')) as Swagger;
  // An error without details or event shows them as null: the shape that live servers answer.
  const error = swagger.definitions['Error'] as Schema;
  error['properties'] = { ...error['properties'], details: {}, event: {} };
  const ajvs = { request: validators('request'), answer: validators('answer') };

  function validators(side: 'request' | 'answer') {
    const ajv = new Ajv({ strict: false, allErrors: true, formats: formats() });
    // Referred to, but not there.
    const absent = { List: { type: 'array' } };
    const definitions = Object.fromEntries(
      Object.entries({ ...absent, ...swagger.definitions }).map(([name, schema]) => [name, tightened(schema, side)]),
    );
    const known = new Map<string, ValidateFunction>();
    return (schema: Schema, value: unknown): string[] => {
      const key = JSON.stringify(schema);
      const validate = known.get(key) ?? ajv.compile({ ...tightened(schema, side), definitions });
      known.set(key, validate);
      if (validate(value)) return [];
      return (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${side}${instancePath} ${message} ${JSON.stringify(params)}`,
      );
    };
  }

  const operationOf = (method: string, path: string): { route: string; operation: Operation } | undefined => {
    const asked = path.split('/');
    const fits = (route: string): boolean => {
      const parts = route.split('/');
      return parts.length === asked.length && parts.every((part, at) => part.startsWith('{') || part === asked[at]);
    };
    const [route] = Object.keys(swagger.paths)
      .filter((candidate) => fits(candidate) && swagger.paths[candidate]?.[method.toLowerCase()] !== undefined)
      .toSorted((a, b) => a.split('{').length - b.split('{').length);
    const operation = route === undefined ? undefined : swagger.paths[route]?.[method.toLowerCase()];
    return route === undefined || operation === undefined ? undefined : { route, operation };
  };

  return {
    /** The vendor's route of a request; undefined where it has none. */
    routeOf(method: string, url: string): string | undefined {
      return operationOf(method, new URL(url).pathname.replace(/^\/api/, ''))?.route;
    },

    /** Bodies that the vendor does not take, made of one that it takes: each lacks something or has it wrong. */
    spoilt(method: string, url: string, body: unknown): { what: string; body: unknown }[] {
      const { parameters = [] } = operationOf(method, new URL(url).pathname.replace(/^\/api/, ''))?.operation ?? {};
      const schema = parameters.find((parameter) => parameter.in === 'body')?.schema;
      return schema === undefined || body === undefined ? [] : spoiltBy(swagger.definitions, schema, body);
    },

    /** What is wrong with an exchange; nothing where all is as described. */
    violations({ method, url, request, status, answer }: Exchange): string[] {
      const { pathname, searchParams } = new URL(url);
      const found = operationOf(method, pathname.replace(/^\/api/, ''));
      const isRefused = status >= 400;
      if (found === undefined) return isRefused ? [] : ['is no operation of the vendor'];
      const { parameters = [], responses } = found.operation;
      const problems: string[] = [];
      if (!isRefused) {
        const queries = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
        for (const name of new Set(searchParams.keys())) {
          if (!queries.includes(name) && !SEEN_LIVE.includes(name)) problems.push(`query parameter ${name} is unknown`);
        }
        const body = parameters.find((parameter) => parameter.in === 'body');
        if (body?.schema !== undefined && (body.required === true || request !== undefined)) {
          problems.push(...ajvs.request(body.schema, request ?? {}));
        } else if (body === undefined && request !== undefined) problems.push('takes no body');
      }
      const response = responses[String(status)];
      if (response === undefined && !UNLISTED.includes(status)) problems.push(`status ${status} is not listed`);
      if (status === 401) return problems;
      const schema = isRefused ? { $ref: ERROR } : response?.schema;
      if (schema === undefined && answer !== undefined) problems.push('has a body where none is described');
      if (schema !== undefined) {
        // A client that chose fields gets no more than these.
        const faults = ajvs.answer(schema, answer);
        problems.push(...faults.filter((fault) => !searchParams.has('fields') || !fault.includes('missingProperty')));
      }
      return problems;
    },
  };
}

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/;
const formats = () => ({
  int32: { type: 'number' as const, validate: (value: number) => Number.isInteger(value) && Math.abs(value) < 2 ** 31 },
  int64: { type: 'number' as const, validate: (value: number) => Number.isInteger(value) },
  double: true as const,
  float: true as const,
  'date-time': DATE_TIME,
  byte: true as const,
  uuid: true as const,
});
