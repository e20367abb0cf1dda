/**
 * The tokens that the demo makes for the enterprises, and revokes when it ends.
 * @module
 */
import type { Api } from './api-client.ts';
import { CreatedToken, Enterprise, Token } from './documents.ts';
import type { Story } from './story.ts';

/** Tokens of this name are the demo's, whichever run made them. */
const NAMES = { administrator: 'demo administrator', user: 'demo user' };

/** Makes a token for an administrator and one for a user of the enterprise. */
export async function newTokens(
  { admin, apiAs }: Pick<Story, 'admin' | 'apiAs'>,
  enterpriseId: string,
): Promise<{ administrator: Api; user: Api }> {
  const make = async (name: string, role: string) =>
    apiAs((await admin.post(`/v1/enterprises/${enterpriseId}/tokens`, { name, role }, CreatedToken)).token);
  return {
    administrator: await make(NAMES.administrator, 'ENTERPRISE_ADMIN'),
    user: await make(NAMES.user, 'USER'),
  };
}

/** Revokes every token of the demo in these enterprises, also what a run that was killed has left. @returns how many. */
export async function revokeTokens(admin: Api, enterprises: readonly string[]): Promise<number> {
  let revoked = 0;
  for (const enterprise of await admin.list('/v1/enterprises', Enterprise)) {
    if (!enterprises.includes(enterprise.name)) continue;
    const path = `/v1/enterprises/${enterprise.id}/tokens`;
    for (const { id, name, revokedAt } of await admin.list(path, Token)) {
      if (revokedAt !== null || !Object.values(NAMES).includes(name)) continue;
      await admin.delete(`${path}/${id}`);
      revoked += 1;
    }
  }
  return revoked;
}
