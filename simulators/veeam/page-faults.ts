/** What goes wrong with pages of a query. In memory: a restarted simulator is a healthy one. */
export type PageFault = {
  /** `repeat`: a later page shows the first again. `short`: a page lacks half of its entries. `truncated`: its text ends in the middle. */
  kind: 'repeat' | 'short' | 'truncated';
  /** The queried type; absent: any. */
  type?: string | undefined;
  times?: number | undefined;
};
export type PageFaults = ReturnType<typeof createPageFaults>;

export function createPageFaults() {
  let faults: PageFault[] = [];
  return {
    list: (): PageFault[] => faults,
    add: (fault: PageFault): void => void faults.push(fault),
    clear: (): void => {
      faults = [];
    },
    /** The first that strikes this page; used up by it. */
    take(type: string, page: number): PageFault['kind'] | undefined {
      const found = faults.find(
        (fault) =>
          (fault.type === undefined || fault.type.toLowerCase() === type.toLowerCase()) &&
          (fault.kind !== 'repeat' || page > 1),
      );
      if (found?.times !== undefined) {
        found.times -= 1;
        if (found.times <= 0) faults = faults.filter((fault) => fault !== found);
      }
      return found?.kind;
    },
  };
}
