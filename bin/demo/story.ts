/**
 * What every scene of the demo is handed: where to speak, whom to ask, and where to note what was not as expected.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './api-client.ts';
import type { AvamarConsole } from './avamar-console.ts';
import type { Manager, Policy } from './documents.ts';
import type { HypervisorView } from './hypervisor-view.ts';
import type { Inventory, PlannedVm } from './inventory.ts';
import type { Screen } from './screen.ts';
import type { VeeamConsole } from './veeam-console.ts';

/** Something was not as expected: what, and where to look. */
export interface Surprise {
  readonly what: string;
  readonly look: string;
}

/** What came of looking. */
export interface Findings {
  /** How many facts were looked at. */
  looked: number;
  readonly surprises: Surprise[];
}

/** The story cannot go on. */
export class StoryEnds extends Error {
  override readonly name = 'StoryEnds';
  readonly look: string;
  constructor({ what, look }: Surprise) {
    super(what);
    this.look = look;
  }
}

/** What every scene is handed. */
export interface Story {
  readonly screen: Screen;
  readonly inventory: Inventory;
  /** The API for the cloud's administrator. */
  readonly admin: Api;
  /** The API for the platform that deploys and undeploys. */
  readonly platform: Api;
  readonly apiAs: (token: string) => Api;
  readonly avamar: AvamarConsole;
  readonly veeam: VeeamConsole;
  readonly hypervisor: HypervisorView;
  readonly findings: Findings;
  readonly signal: AbortSignal;
}

/** A tenant with its two tokens. */
export interface Tenant {
  readonly id: string;
  readonly name: string;
  readonly administrator: Api;
  readonly user: Api;
}

/** A virtual machine of the story. */
export interface Actor {
  readonly id: string;
  readonly name: string;
  readonly tenant: Tenant;
  readonly policy: Policy;
  readonly plan: PlannedVm;
}

/** Who plays. */
export interface Cast {
  readonly tenants: readonly [Tenant, Tenant];
  /** Of each datacenter. */
  readonly managers: readonly Manager[];
  /** Backed up and restored. */
  readonly restored: Actor;
  /** Backed up; its backup expires. */
  readonly expiring: Actor;
  /** Its schedule is refused. */
  readonly refused: Actor;
  /** Backed up by the backup system's own schedule. */
  readonly scheduled: Actor;
  /** In the datacenter with Veeam; both are backed up by its own schedule. */
  readonly onVeeam: {
    /** Restored as a new machine. */
    readonly restored: Actor;
    /** Its backup is removed by the retention. */
    readonly expiring: Actor;
  };
}

export const actors = ({ restored, expiring, refused, scheduled, onVeeam }: Cast): Actor[] => [
  restored,
  expiring,
  refused,
  scheduled,
  onVeeam.restored,
  onVeeam.expiring,
];

/** Says whether something is as it should be; what is not is told again at the end, with where to look. */
export function expect(story: Story, good: boolean, what: string, look: string): void {
  story.screen.fact(good, what);
  story.findings.looked += 1;
  if (!good) story.findings.surprises.push({ what: `This is not so: ${what}`, look });
}

const PAUSE_MS = 700;

/**
 * Looks again and again until something is there.
 * @param look answers `undefined` to be asked again; the text is what is waited for.
 * @throws StoryEnds after `seconds`.
 */
export async function until<T>(
  story: Pick<Story, 'screen' | 'signal'>,
  waitingFor: { readonly text: string; readonly seconds: number; readonly look: string },
  look: () => Promise<T | undefined>,
): Promise<T> {
  const begun = Date.now();
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    const waited = Math.round((Date.now() - begun) / 1_000);
    if (waited > waitingFor.seconds) {
      throw new StoryEnds({ what: `Waited ${waited} s in vain: ${waitingFor.text}`, look: waitingFor.look });
    }
    story.screen.progress(`${waitingFor.text} (${waited} s)`);
    await sleep(PAUSE_MS, undefined, { signal: story.signal });
  }
}
