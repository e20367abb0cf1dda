/**
 * The table of what was covered, printed at the end: a trouble that strikes nowhere is not covered, and shows.
 * @module
 */

export interface Coverage {
  /** Notes that the scenario was played in so many places under that condition; 0: it has no such place. */
  note(scenario: string, condition: string, places: number): void;
  /** Notes that it cannot be played at all. */
  leaveOut(scenario: string, why: string): void;
  table(): string;
}

export function coverage(title: string): Coverage {
  const rows = new Map<string, Map<string, number>>();
  const leftOut = new Map<string, string>();
  const conditions: string[] = [];
  return {
    note(scenario, condition, places) {
      if (!conditions.includes(condition)) conditions.push(condition);
      const row = rows.get(scenario) ?? new Map<string, number>();
      row.set(condition, places);
      rows.set(scenario, row);
    },
    leaveOut(scenario, why) {
      leftOut.set(scenario, why);
    },
    table() {
      const width = Math.max(...[...rows.keys()].map(({ length }) => length), 0);
      const shown = (places: number | undefined) => (places === undefined ? ' ' : places === 0 ? '-' : String(places));
      const lines = [...rows].map(([scenario, row]) =>
        [scenario.padEnd(width), ...conditions.map((name) => shown(row.get(name)).padStart(name.length))].join('  '),
      );
      const head = [''.padEnd(width), ...conditions].join('  ');
      const out = [...leftOut].map(([scenario, why]) => `${scenario}: not played, ${why}`);
      return [`${title}: where each trouble struck (-: no such call)`, head, ...lines, ...out].join('\n');
    },
  };
}
