/**
 * `/api/v1/rules`: which machines a group takes in by itself (swagger, `RuleDTO`, `Rule`, `PropertyKey`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { fqdn } from './activity-engine.ts';
import type { AvamarEnv, Server } from './env.ts';
import { OPERATORS } from './members.ts';
import { refuseDuplicate } from './named-objects.ts';
import { AvamarError, bodyOf, chosenFields, inInclusion, notFound, page, vendorEnum } from './spring.ts';
import type { Rule } from './state.ts';

/** The one property of a machine that rules of this server know, as live servers name it; those have more. */
const KEY = { keyName: 'name', keyType: 'STRING', keyDescription: 'VM name' };
const described = (name: string): string => name.toLowerCase().replaceAll('_', ' ');

function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const Expression = z
  .object({
    keyName: z.literal(KEY.keyName),
    keyType: z.string().optional(),
    operatorName: vendorEnum(OPERATORS as [string, ...string[]]),
    value: z.string(),
    vmTagCategoryValue: z.string().default(''),
  })
  .refine(
    ({ operatorName, value }) => operatorName !== 'MATCHES_REGULAR_EXPRESSION' || isRegularExpression(value),
    'the value is no regular expression',
  );
const RuleDTO = z.object({
  name: z.string().min(1),
  domainFqdn: z.string().startsWith('/').default('/'),
  matchType: vendorEnum(['AND', 'OR']).default('AND'),
  expressions: z.array(Expression).min(1),
});

export function rules({ state }: Server): Hono<AvamarEnv> {
  const need = (id: string): Rule => {
    const rule = state.rules.get(id);
    if (rule === undefined) throw notFound('Rule', id);
    return rule;
  };
  const put = ({ domainFqdn, ...dto }: z.infer<typeof RuleDTO>, id: number): Rule => {
    refuseDuplicate('Rule', state.rules.values(), dto.name, domainFqdn, id);
    return state.rules.put(String(id), { ...dto, id, domain: domainFqdn });
  };
  const view = (rule: Rule) => ({
    ...rule,
    fqdn: fqdn(rule.domain, rule.name),
    expressions: rule.expressions.map(({ keyName, operatorName, value, vmTagCategoryValue }) => ({
      keyName,
      keyDescription: KEY.keyDescription,
      operatorName,
      operatorDescription: described(operatorName),
      value,
      vmTagCategoryValue,
    })),
  });
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.rules.values().filter(({ domain }) => inInclusion(c, domain));
    return c.json(page(c, asked.map(view)));
  });
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, RuleDTO);
    return c.json(view(put(dto, state.nextNumber())), 201);
  });
  routes.get('/metadata', (c) => {
    const operators = OPERATORS.map((name) => ({ operatorName: name, operatorDescription: described(name) }));
    return c.json([{ ...KEY, operators }]);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const { id } = need(c.req.param('id'));
    return c.json(view(put(await bodyOf(c, RuleDTO), id)));
  });
  routes.delete('/:id', (c) => {
    const { id, name } = need(c.req.param('id'));
    const user = state.groups.values().find((group) => group.ruleEnabled && group.ruleId === id);
    if (user !== undefined) {
      throw new AvamarError(400, `Rule ${name} is used by group ${user.name}.`, 'ObjectInUseException');
    }
    state.rules.delete(String(id));
    return c.body(null, 204);
  });
  return routes;
}
