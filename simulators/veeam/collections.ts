/**
 * The reading of entities: collections, single ones, and those that hang under another.
 * @module
 */
import { type Context, Hono } from 'hono';
import { answer } from './answers.ts';
import type { Server, VeeamEnv } from './env.ts';
import { notFound } from './errors.ts';
import { type Kind, entityElement, entityList, idOf, referenceElement, referenceList } from './kind.ts';
import type { Kinds } from './kinds.ts';
import { viewOf } from './view.ts';

/** `?format=Entity` in any case. */
const wantsEntities = (c: Context<VeeamEnv>): boolean => /^entit(y|ies)$/i.test(c.req.query('format') ?? '');

export function collections(server: Server, kinds: Kinds): Hono<VeeamEnv> {
  const routes = new Hono<VeeamEnv>();
  const listed = <T>(c: Context<VeeamEnv>, kind: Kind<T>, entities: readonly T[]): Response => {
    const view = viewOf(c, server);
    return answer(c, server, (wantsEntities(c) ? entityList : referenceList)(kind, entities, view));
  };
  const offer = <T>(kind: Kind<T>): void => {
    routes.get(kind.path, (c) => listed(c, kind, kind.all()));
    routes.get(`${kind.path}/:id`, (c) => {
      const entity = kind.find(idOf(c.req.param('id')));
      if (entity === undefined) throw notFound(kind.type, c.req.param('id'));
      const view = viewOf(c, server);
      const document = wantsEntities(c)
        ? entityElement(kind, entity, view)
        : referenceElement(kind, entity, view, 'EntityRef');
      return answer(c, server, document);
    });
  };
  /** `/<parents>/{id}/<name>`: those of a kind that belong to one of another kind. */
  const offerUnder = <P, T>(
    parent: Kind<P>,
    name: string,
    kind: Kind<T>,
    belongs: (one: T, id: string, to: P) => boolean,
  ) => {
    routes.get(`${parent.path}/:id/${name}`, (c) => {
      const id = idOf(c.req.param('id') ?? '');
      const owner = parent.find(id);
      if (owner === undefined) throw notFound(parent.type, id);
      return listed(
        c,
        kind,
        kind.all().filter((one) => belongs(one, id, owner)),
      );
    });
  };
  const { jobs, jobSessions, taskSessions, vmPoints, restorePoints, backupFiles, backups } = kinds;
  const { backupServers, repositories, managedServers, hierarchyRoots, restoreSessions } = kinds;
  const everything = (): boolean => true;
  offer(backupServers);
  offer(managedServers);
  offer(jobs);
  offer(hierarchyRoots);
  offer(repositories);
  offer(backups);
  offer(restorePoints);
  offer(vmPoints);
  offer(jobSessions);
  offer(restoreSessions);
  offer(taskSessions);
  offer(backupFiles);
  offerUnder(backupServers, 'jobs', jobs, everything);
  offerUnder(backupServers, 'managedServers', managedServers, everything);
  offerUnder(backupServers, 'repositories', repositories, everything);
  offerUnder(repositories, 'backups', backups, (one, id) => one.repositoryId === id);
  offerUnder(jobs, 'backupSessions', jobSessions, (one, id) => one.jobId === id);
  offerUnder(jobSessions, 'taskSessions', taskSessions, (one, id) => one.jobSessionId === id);
  offerUnder(backups, 'restorePoints', restorePoints, (one, id) => one.backupId === id);
  offerUnder(backups, 'backupFiles', backupFiles, (one, id) => one.backupId === id);
  offerUnder(restorePoints, 'vmRestorePoints', vmPoints, (one, id) => one.restorePointId === id);
  offerUnder(restorePoints, 'backupFiles', backupFiles, (one, id) => one.restorePointId === id);
  offerUnder(backupFiles, 'restorePoints', restorePoints, (one, id) => one.fileId === id);
  offerUnder(backupFiles, 'vmRestorePoints', vmPoints, (one, id) => one.fileId === id);
  return routes;
}
