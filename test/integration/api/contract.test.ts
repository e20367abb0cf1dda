import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, startTestApi, type TestApi } from './test-api.ts';

// An OpenAPI document, read as what it is.
type Document = Record<string, any>;

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly declared: Document;
}

let api: TestApi;
let spec: Document;
let operations: Operation[];
let tokens: string[];
let ids: string[];

beforeAll(async () => {
  api = await startTestApi();
  spec = (await api.send(undefined, 'GET', '/openapi.json')).body;
  operations = Object.entries<Document>(spec['paths']).flatMap(([path, item]) =>
    Object.entries<Document>(item).map(([method, declared]) => ({ method: method.toUpperCase(), path, declared })),
  );
  const enterprise = await api.newEnterprise();
  const datacenter = await api.newDatacenter();
  const manager = await api.newManager(datacenter.id);
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  const vm = await api.newVm(enterprise.admin, datacenter.id, { backupPolicies: [{ policyId: policy.id }] });
  const deploy = await api.expectStatus(202, enterprise.admin, 'POST', `/v1/virtual-machines/${vm.id}/deploy`);
  tokens = [api.tokens.admin, enterprise.admin, enterprise.user, api.tokens.platform];
  ids = [enterprise.id, datacenter.id, policy.id, vm.id, deploy.id];
});
afterAll(() => api.stop());

const validators = new Map<Document, ValidateFunction>();
const ajv = new Ajv2020({ strict: false, validateFormats: false });

function validatorOf(schema: Document): ValidateFunction {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  const validator = ajv.compile({ components: spec['components'], allOf: [schema] });
  validators.set(schema, validator);
  return validator;
}

/** What is wrong with an answer by the document; `undefined` when nothing is. */
function contractProblem({ declared }: Operation, answer: Answer): string | undefined {
  if (answer.status >= 500) return `${answer.status}: ${answer.text}`;
  const response: Document | undefined = declared['responses'][answer.status];
  if (response === undefined) return `status ${answer.status} is not declared: ${answer.text}`;
  if (response['content'] === undefined) return answer.text === '' ? undefined : 'a body is not declared';
  const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const content: Document | undefined = response['content'][type];
  if (content === undefined) return `${answer.status} ${type} is not declared`;
  const validate = validatorOf(content['schema']);
  return validate(answer.body ?? answer.text) ? undefined : `${answer.status}: ${ajv.errorsText(validate.errors)}`;
}

test('the document describes every route, each with a name of its own', () => {
  const routes = api.app.routes
    .filter(({ method, path }) => method !== 'ALL' && path !== '/openapi.json')
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  expect(operations.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual([...new Set(routes)].toSorted());
  const names = operations.map(({ declared }) => declared['operationId']);
  expect(new Set(names).size).toBe(names.length);
});

test('every path under /v1 needs a token, by the document and in fact', async () => {
  for (const { method, path, declared } of operations.filter((operation) => operation.path.startsWith('/v1'))) {
    expect(declared['security'], path).toEqual([{ bearer: [] }]);
    const answer = await api.send(undefined, method, path.replaceAll(/\{\w+\}/g, crypto.randomUUID()));
    expect(answer.status, `${method} ${path}`).toBe(401);
    expect(answer.body.code).toBe('UNAUTHENTICATED');
  }
});

test('every schema that the document names is there', () => {
  const named = [...JSON.stringify(spec).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]);
  for (const name of named) expect(spec['components']['schemas']).toHaveProperty([name as string]);
});

function resolved(schema: Document): Document {
  const ref = schema['$ref'] as string | undefined;
  return ref === undefined ? schema : spec['components']['schemas'][ref.split('/').at(-1) as string];
}

/** Values that a schema lets through, more or less; real ids where it wants an id. */
function valueOf(given: Document): fc.Arbitrary<unknown> {
  const schema = resolved(given);
  if (schema['const'] !== undefined) return fc.constant(schema['const']);
  if (schema['enum'] !== undefined) return fc.constantFrom(...schema['enum']);
  const variants: Document[] | undefined = schema['oneOf'] ?? schema['anyOf'];
  if (variants !== undefined) return fc.oneof(...variants.map(valueOf));
  if (schema['allOf'] !== undefined) return fc.oneof(...schema['allOf'].map(valueOf));
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'string':
      if (schema['format'] === 'uuid') return fc.oneof(fc.constantFrom(...ids), fc.uuid());
      return fc.oneof(
        fc.constantFrom('03:30', 'Europe/Madrid', 'http://x', 'a'),
        fc.string({ unit: 'binary', maxLength: 40 }),
      );
    case 'integer':
    case 'number':
      return fc.integer({ min: schema['minimum'] ?? -10, max: Math.min(schema['maximum'] ?? 1e6, 1e6) });
    case 'boolean':
      return fc.boolean();
    case 'array':
      return fc.array(valueOf(schema['items'] ?? {}), { maxLength: 3 });
    case 'object':
      return fc.record(
        Object.fromEntries(
          Object.entries<Document>(schema['properties'] ?? {}).map(([key, value]) => [key, valueOf(value)]),
        ),
        { requiredKeys: schema['required'] ?? [] },
      );
    default:
      return fc.jsonValue();
  }
}

const WILD = fc.oneof(fc.jsonValue(), fc.constantFrom('\u0000', '\ud800', '../..', '%00', '9'.repeat(400), -0, 1e300));

function requestTo({ declared }: Operation) {
  const parameters = (declared['parameters'] ?? []) as Document[];
  const schema: Document | undefined = declared['requestBody']?.content['application/json'].schema;
  return fc.record({
    token: fc.constantFrom(...tokens),
    values: fc.tuple(
      ...parameters.map((parameter) =>
        fc.oneof({ weight: 5, arbitrary: valueOf(parameter['schema']) }, { weight: 1, arbitrary: WILD }),
      ),
    ),
    raw:
      schema === undefined
        ? fc.constant(undefined)
        : fc.oneof(
            { weight: 4, arbitrary: valueOf(schema).map((value) => JSON.stringify(value)) },
            { weight: 1, arbitrary: WILD.map((value) => JSON.stringify(value)) },
            { weight: 1, arbitrary: fc.string() },
          ),
    type: fc.constantFrom('application/json', 'application/json; charset=utf-8', 'application/json', 'text/plain'),
  });
}

test('whatever is sent, the answer is one that the document declares', { timeout: 120_000 }, async () => {
  const findings: string[] = [];
  for (const operation of operations) {
    const parameters = (operation.declared['parameters'] ?? []) as Document[];
    const property = fc.asyncProperty(requestTo(operation), async ({ token, values, raw, type }) => {
      let path = operation.path;
      const query = new URLSearchParams();
      const headers: Record<string, string> = raw === undefined ? {} : { 'content-type': type };
      for (const [index, parameter] of parameters.entries()) {
        const value = values[index];
        if (value === undefined) continue;
        const text = (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed();
        if (parameter['in'] === 'query') query.set(parameter['name'], text);
        else if (parameter['in'] === 'path')
          path = path.replace(`{${parameter['name']}}`, encodeURIComponent(text) || 'x');
        else if (/^[\x20-\x7e]*$/.test(text)) headers[parameter['name']] = text;
      }
      // A segment of dots is resolved away by every client.
      if (path.split('/').some((segment) => /^\.{1,2}$/.test(segment))) return;
      const answer = await api.send(token, operation.method, `${path}?${query.toString()}`, { raw, headers });
      const problem = contractProblem(operation, answer);
      if (problem !== undefined) findings.push(`${operation.method} ${operation.path}: ${problem}`);
    });
    await fc.assert(property, { numRuns: 40, seed: 20_261_122 });
  }
  expect([...new Set(findings)]).toEqual([]);
});
