/**
 * The address of the REST API, from what people write as the endpoint of a manager.
 * @module
 */
import type { ManagerConnection } from '../backup-system.ts';
import { refused } from './refusal.ts';

/**
 * `…/api` of the server, without a slash at the end: paths are appended to it.
 * @throws ExternalSystemError `REFUSED` when the manager has no endpoint.
 */
export function apiAddress({ endpoint, name }: Pick<ManagerConnection, 'endpoint' | 'name'>): string {
  if (endpoint === null) throw refused(`the backup manager ${name} has no endpoint`);
  const bare = endpoint.trim().replace(/\/+$/, '');
  return /\/api$/i.test(bare) ? bare : `${bare}/api`;
}

/** The address as it should be written when it was written otherwise; `undefined` when it is right. */
export function repairedEndpoint(manager: Pick<ManagerConnection, 'endpoint' | 'name'>): string | undefined {
  const right = `${apiAddress(manager)}/`;
  return manager.endpoint === right ? undefined : right;
}

/**
 * The path and query of a link, to be appended to our own address of the API. Links name the server as it knows itself,
 * so their host is never used: it may be another machine's, and the session would go there.
 */
export function pathOf(href: string): string | undefined {
  const url = URL.parse(href, 'http://server');
  const [, below] = /^.*?\/api(\/.*)$/i.exec(url?.pathname ?? '') ?? [];
  return below === undefined ? undefined : `${below}${url?.search ?? ''}`;
}
