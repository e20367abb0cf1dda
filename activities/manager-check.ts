/**
 * The check of a backup manager: can it be used? Its connection is never tried by a save, only by this.
 * @module
 */
import { recordEvent } from '../db/events.ts';
import { managersOfSystem, policiesToCheck, storeCheck } from '../db/manager-checks.ts';
import type { StoredCheck } from '../db/columns.ts';
import type { PeriodicActivities } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { describeError } from './recorded-step.ts';
import { readOnlyCall } from './watching.ts';

/** The activity that checks a backup manager and stores what it found. */
export function checkActivities(deps: Dependencies): Pick<PeriodicActivities, 'checkManager'> {
  return {
    checkManager: async (managerId) => {
      const { check, name, identity } = await look(deps, managerId);
      const problems = [...check.problems];
      const changed = identity !== null && check.identity !== null && check.identity !== identity;
      if (changed) {
        const message = `this was ${identity} and now answers as ${check.identity}; give it a manager of its own`;
        problems.push({ code: 'BACKUP_SYSTEM_CHANGED', message });
      }
      const twins = check.identity === null ? [] : await managersOfSystem(deps.db, managerId, check.identity);
      if (twins.length > 0) {
        const message = `it is the same backup system as that of ${twins.join(', ')}: each would be watched on its own`;
        problems.push({ code: 'SAME_BACKUP_SYSTEM', message });
      }
      await storeCheck(deps.db, managerId, { ...check, problems });
      if (changed) {
        await recordEvent(deps.db, {
          entity: 'BACKUP_MANAGER',
          action: 'CHANGED',
          severity: 'WARN',
          message: `Another backup system answers at the endpoint of ${name}.`,
          entityId: managerId,
        });
      }
    },
  };
}

async function look(deps: Dependencies, managerId: string) {
  let name = managerId;
  let identity: string | null = null;
  try {
    const manager = await deps.managers.connect(managerId);
    name = manager.name;
    identity = manager.identity;
    const policies = await policiesToCheck(deps.db, managerId);
    const codes = policies.map(({ code }) => code);
    const copied = policies.filter(({ replication }) => replication).map(({ code }) => code);
    const check = await manager.system.check(readOnlyCall(), codes, copied);
    return { check, name, identity };
  } catch (error) {
    const { code, message } = describeError(error);
    const check: StoredCheck = {
      reachable: false,
      version: null,
      identity: null,
      clockSkewSeconds: null,
      problems: [{ code, message }],
      policies: [],
    };
    return { check, name, identity };
  }
}
