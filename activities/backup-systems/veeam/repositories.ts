/**
 * Where the job of a VM keeps its backups. A clone has to name a repository, and a job does not tell its own.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import { entryFor } from './config.ts';
import type { Job } from './jobs.ts';
import { linkedId } from './links.ts';
import { condition, entities } from './query.ts';
import { refused } from './refusal.ts';
import { guidOf, veeamUrn } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { attribute, descendants } from './xml.ts';

interface Repository {
  readonly name: string;
  readonly uid: string;
}

/**
 * The repository of new jobs of that policy: the configured one, else the one that the template's own backups lie in,
 * else the only one of its backup server.
 * @throws ExternalSystemError `REFUSED` that says what to write into the configuration, when none of these tells it.
 */
export async function repositoryUid(
  veeam: Veeam,
  context: CallContext,
  policyCode: string,
  template: Job,
): Promise<string> {
  const { rest, config } = veeam;
  const at = `the backup system ${rest.manager.name}`;
  const all = await repositoriesOf(veeam, context, template);
  const name = entryFor(config.repository.policies, policyCode) ?? config.repository.default;
  if (name !== undefined) {
    const [found, ...others] = all.filter((one) => one.name.toLowerCase() === name.toLowerCase());
    if (found !== undefined && others.length === 0) return found.uid;
    const which = found === undefined ? 'no repository' : 'several repositories';
    throw refused(`${at} has ${which} ${name}, which the plugin's configuration names for the policy ${policyCode}`);
  }
  const ofBackups = await repositoryOfBackups(veeam, context, template);
  if (ofBackups !== undefined) return ofBackups;
  const [only, ...others] = all;
  if (only !== undefined && others.length === 0) return only.uid;
  throw refused(
    `${at} has ${all.length} repositories and does not tell the one of the template ${template.name}, which has no ` +
      `backups of its own; name one in the plugin's configuration (repository.policies.${policyCode})`,
  );
}

async function repositoriesOf({ rest }: Veeam, context: CallContext, template: Job): Promise<Repository[]> {
  const server = linkedId(template.entity, 'BackupServer', 'Up');
  const path = server === undefined ? '/repositories' : `/backupServers/${server}/repositories`;
  const { body } = await rest.read(context, path, 'list its repositories');
  return [...descendants(body, 'Ref')].flatMap((reference) => {
    const id = guidOf(attribute(reference, 'UID') ?? attribute(reference, 'Href'));
    return id === undefined ? [] : [{ name: attribute(reference, 'Name') ?? '', uid: veeamUrn('Repository', id) }];
  });
}

async function repositoryOfBackups({ rest }: Veeam, context: CallContext, template: Job): Promise<string | undefined> {
  const purpose = `look where the backups of ${template.name} lie`;
  const query = { type: 'Backup', filter: condition('Name', '==', template.name), purpose } as const;
  for await (const backup of entities(rest, context, query)) {
    if (attribute(backup, 'Name')?.toLowerCase() !== template.name.toLowerCase()) continue;
    const id = linkedId(backup, 'Repository');
    if (id !== undefined) return veeamUrn('Repository', id);
  }
  return undefined;
}
