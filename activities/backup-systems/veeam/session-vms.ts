/**
 * Which VM a session is about. Newer versions tell it in the session; else its job or its restore point does, which is
 * asked once and remembered. What a look may ask is limited: what is left over comes with the next look.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import { objectsOf } from './includes.ts';
import { isJobName } from './names.ts';
import { isAbsent } from './refusal.ts';
import { readIfThere } from './rest.ts';
import type { SessionFacts } from './session-reports.ts';
import { guidOf, keptReference, urnKey } from './urn.ts';
import { remember, type Veeam } from './veeam.ts';
import { textOf } from './xml.ts';

const MOST_QUESTIONS = 20;

export interface VmFinder {
  /** The VM of a backup; `undefined` when it is not known (yet). */
  ofBackup(task: SessionFacts | undefined, jobSession: SessionFacts | undefined): Promise<string | undefined>;
  /** The VM whose backup is restored; `undefined` when it is not known (yet). */
  ofRestore(session: SessionFacts): Promise<string | undefined>;
}

/** Finds VMs for one look. */
export function vmFinder(veeam: Veeam, context: CallContext): VmFinder {
  const { rest, config, memory } = veeam;
  let questions = 0;
  const asked = async (
    known: Map<string, string | undefined>,
    key: string,
    ask: () => Promise<string | undefined>,
  ): Promise<string | undefined> => {
    if (known.has(key)) return known.get(key);
    if (questions >= MOST_QUESTIONS) return undefined;
    questions += 1;
    const found = await ask();
    // What is not there now may come, so only an answer is remembered.
    if (found !== undefined) remember(known, key, found);
    return found;
  };

  const ofPoint = (uid: string) =>
    asked(memory.pointVms, urnKey(uid), async () => {
      const path = `/vmRestorePoints/${guidOf(uid)}?format=Entity`;
      const answer = await readIfThere(rest, context, path, 'look whose restore point it is');
      return keptReference(textOf(answer?.body, 'HierarchyObjRef'));
    });

  /** Of a job of Holdfast, which has one VM. */
  const ofJob = (uid: string) =>
    asked(memory.jobVms, urnKey(uid), async () => {
      const objects = await objectsOf(veeam, context, guidOf(uid) ?? '').catch((error: unknown) => {
        if (isAbsent(error)) return [];
        throw error;
      });
      return objects.length === 1 ? keptReference(objects[0]?.reference) : undefined;
    });

  return {
    async ofBackup(task, jobSession) {
      if (task?.vmRef !== undefined) return task.vmRef;
      const isOurs = jobSession?.jobUid !== undefined && isJobName(config.jobName, jobSession.jobName);
      if (isOurs && jobSession.jobUid !== undefined) {
        const found = await ofJob(jobSession.jobUid);
        if (found !== undefined) return found;
      }
      return task?.pointUid === undefined ? undefined : ofPoint(task.pointUid);
    },
    ofRestore: async (session) => (session.pointUid === undefined ? undefined : ofPoint(session.pointUid)),
  };
}
