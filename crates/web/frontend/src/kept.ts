// What was scanned and is not answered yet: in the browser's storage, so that it outlives the page, its tab and the machine's battery.
//
// Scans are kept in the order they were made in, each with the key it will be sent with, however often. Where their maker stands in a
// task is kept beside them and changes in the same write that takes an answered scan away: a scan that is sent again says the same.

/** A scan that waits to be sent. */
export interface Scan {
  key: string;
  /** Whose it is: nobody else's session sends it. */
  whose: string;
  /** Where it is sent. */
  path: string;
  /** Which walk through a task it is of. */
  visit: string;
  fields: Record<string, string>;
  /** What its maker calls it. */
  label: string;
  /** When it was made, by this machine's clock, in milliseconds. */
  at: number;
}

/** A scan that was answered otherwise than its maker may have thought. */
export interface Refused {
  whose: string;
  label: string;
  said: string;
}

interface Kept {
  scans: Scan[];
  /** Where each visit stands, as the query of an address. */
  standings: Record<string, string>;
  refused: Refused[];
}

const PLACE = "onhand-floor";
/** So many that were not taken are shown; who did not look at these does not look at more. */
const REFUSED = 20;
/** So many visits of which nothing waits are known. */
const VISITS = 20;

function read(): Kept {
  const text = localStorage.getItem(PLACE);
  return text ? (JSON.parse(text) as Kept) : { scans: [], standings: {}, refused: [] };
}

/** Changes what is kept, in one write. Throws where the browser keeps nothing. */
function change(how: (kept: Kept) => void): void {
  const kept = read();
  how(kept);
  // Pages that are open beside this one may still ask where they stand.
  const used = new Set(kept.scans.map((scan) => scan.visit));
  const idle = Object.keys(kept.standings).filter((visit) => !used.has(visit));
  for (const visit of idle.slice(0, -VISITS)) delete kept.standings[visit];
  localStorage.setItem(PLACE, JSON.stringify(kept));
}

/** Something of this page alone, or of this scan. */
export function random(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The visit of a page that stands so: the one that its last scans are of where it was loaded again, else a new one. */
export function visit(whose: string, standing: string): string {
  const { scans, standings } = read();
  const last = scans.filter((scan) => scan.whose === whose).at(-1);
  const visit = last && standings[last.visit] === standing ? last.visit : random();
  change((kept) => { kept.standings[visit] = standing; });
  return visit;
}

export const scans = (): Scan[] => read().scans;
export const refused = (whose: string): Refused[] => read().refused.filter((one) => one.whose === whose);
export const standing = (of: string): string | undefined => read().standings[of];

/** Keeps a scan, of a visit that stands so where nothing else of it waits. */
export function add(scan: Scan, standing: string): void {
  change((kept) => {
    kept.standings[scan.visit] ??= standing;
    kept.scans.push(scan);
  });
}

/** A scan was answered: where its visit stands now, and what is to be said of it later. */
export function answered(scan: Scan, stands: string | undefined, said?: string): void {
  change((kept) => {
    kept.scans = kept.scans.filter((other) => other.key !== scan.key);
    if (stands !== undefined) kept.standings[scan.visit] = stands;
    if (said) kept.refused = [{ whose: scan.whose, label: scan.label, said }, ...kept.refused].slice(0, REFUSED);
  });
}

/** Somebody has seen what was not taken. */
export function seen(whose: string, index: number): void {
  change((kept) => {
    const mine = kept.refused.filter((one) => one.whose === whose);
    kept.refused = kept.refused.filter((one) => one !== mine[index]);
  });
}
