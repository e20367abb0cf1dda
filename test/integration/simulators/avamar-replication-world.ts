import { expect } from 'vitest';
import { destinationNamed } from '../../avamar-console.ts';
import { type Answer, type Json, until, type World } from './simulated-world.ts';

/** A day, in seconds. */
export const DAY = 86_400;

/** What tests of replication do in a world. */
export function replicationIn(world: World) {
  let machines = 0;
  /** A client of a machine of its own, with its machine's name. */
  const newClient = async (): Promise<{ cid: string; id: string; moref: string }> => {
    machines += 1;
    const id = `repl-${machines}`;
    const moref = await world.deploy(id, id);
    await world.addClients([`VirtualMachine:${moref}`]);
    return { cid: await world.clientOf(moref), id, moref };
  };
  const newDestination = async (name: string): Promise<Json> =>
    (await world.api('POST', '/replication/destinations', destinationNamed(name, '10.0.0.9'))).body;
  const newGroup = async (name: string, members: string[], more: object = {}): Promise<Json> => {
    const destination = await newDestination(`to ${name}`);
    const dto = { name, destinationServerId: destination.id, scheduleId: 'Default:REPL_SCHEDULEID', members, ...more };
    const answer = await world.api('POST', '/replication/groups', dto);
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const runsOf = async (name: string): Promise<Json[]> =>
    (await world.api('GET', `/activities?recursive=true&filter=pluginName=='Replicate'&filter=groupFqdn=='/${name}'`))
      .body.content;
  const start = (group: Json): Promise<Answer> => world.api('POST', `/replication/groups/${group.id}/run`);
  /** Runs a group and returns the activity of the run when it has ended. */
  const run = async (group: Json): Promise<Json> => {
    const before = (await runsOf(group.name)).length;
    expect((await start(group)).body).toEqual([{ name: group.name, success: true }]);
    const runs = await until(
      () => runsOf(group.name),
      (found) => found.length > before && found.every(({ completedDate }) => completedDate !== undefined),
    );
    return runs.at(-1);
  };
  const backups = async (cid: string): Promise<Json[]> =>
    (await world.api('GET', `/clients/${cid}/backups?includeRemote=true`)).body.content;

  return { newClient, newDestination, newGroup, runsOf, start, run, backups };
}
