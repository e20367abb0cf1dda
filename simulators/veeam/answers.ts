/**
 * Answers and bodies in the two formats. The server takes the `Accept` header as the format of the request's body too.
 * @module
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type Element, text, toJson, toXml } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import { type Received, type Sequence, receivedOfJson, valueOf } from './shape.ts';

const wantsJson = (c: Context): boolean => /application\/json/i.test(c.req.header('accept') ?? '');

/** The document in the format that was asked for. */
export function answer(
  c: Context<VeeamEnv>,
  { settings }: Server,
  document: Element,
  status: ContentfulStatusCode = 200,
): Response {
  if (!wantsJson(c)) return c.body(toXml(document), status, { 'content-type': 'application/xml; charset=utf-8' });
  const { jsonCase, jsonBom } = settings();
  const body = `${jsonBom ? '\uFEFF' : ''}${toJson(document, jsonCase)}`;
  return c.body(body, status, { 'content-type': 'application/json; charset=utf-8' });
}

/** The vendor's error document. */
export function errorAnswer(c: Context<VeeamEnv>, server: Server, { status, message }: EmError): Response {
  if (status === 401) c.header('www-authenticate', 'Basic Realm=RestSvc');
  if (!wantsJson(c)) {
    const children = [{ name: 'FirstChanceExceptionMessage' }];
    return answer(c, server, { name: 'Error', attributes: { Message: message, StatusCode: status }, children }, status);
  }
  const children = [text('Message', message)];
  const nullKeys = ['FirstChanceExceptionMessage', 'StackTrace', 'Status'];
  return answer(c, server, { name: 'Error', children, nullKeys, attributes: { StatusCode: status } }, status);
}

const NAMESPACE = 'http://www.veeam.com/ent/v1.0';
const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  trimValues: true,
  ignoreDeclaration: true,
});
type Parsed = { ':@'?: Record<string, string>; '#text'?: string; [name: string]: unknown };

function receivedOf(node: Parsed): Received {
  const name = Object.keys(node).find((key) => key !== ':@') ?? '';
  const inside = node[name] as Parsed[];
  return {
    name: name.slice(name.indexOf(':') + 1),
    attributes: node[':@'] ?? {},
    children: inside.filter((child) => child['#text'] === undefined).map(receivedOf),
    text: inside.map((child) => child['#text'] ?? '').join(''),
  };
}

function receivedOfXml(body: string): Received {
  const valid = XMLValidator.validate(body);
  if (valid !== true) throw new EmError(400, `There is an error in the XML document. ${valid.err.msg}`);
  const roots = (parser.parse(body) as Parsed[]).filter((node) => node['#text'] === undefined);
  const root = receivedOf(roots[0] as Parsed);
  const isOfVendor = Object.entries(root.attributes).some(
    ([key, value]) => /^xmlns(:|$)/.test(key) && value === NAMESPACE,
  );
  if (!isOfVendor) {
    throw new EmError(400, `There is an error in the XML document. <${root.name}> is not of ${NAMESPACE}.`);
  }
  return root;
}

/**
 * The body of a request by its shape; undefined when there is none.
 * @throws EmError 400 when it is in the other format, malformed or not in the order of the shape.
 */
export async function bodyOf(c: Context<VeeamEnv>, rootName: string, shape: Sequence): Promise<unknown> {
  const body = (await c.req.text()).replace(/^\uFEFF/, '').trim();
  if (body === '') return undefined;
  if (wantsJson(c)) {
    if (body.startsWith('<')) throw new EmError(400, 'Node [root] does not exist.');
    let json: unknown;
    try {
      json = JSON.parse(body);
    } catch {
      throw new EmError(400, 'The body is not JSON.');
    }
    return valueOf(shape, receivedOfJson(rootName, shape, json));
  }
  const root = receivedOfXml(body);
  if (root.name !== rootName) {
    throw new EmError(400, `There is an error in the XML document. <${root.name}> was not expected.`);
  }
  return valueOf(shape, root);
}
