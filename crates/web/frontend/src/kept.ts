// What was scanned and is not answered yet: in the browser's storage, so that it outlives the page, its tab and the machine's battery.
//
// Scans are kept in the order they were made in, each with the key it will be sent with, however often, and each in a place of its own: two
// pages that scan at once write none of the other's over. Where their maker stands in a task is written before an answered scan is taken
// away: one that is sent again in between is answered the same, by its key.

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
  /** It was made after those of a lower number. */
  nth?: number;
}

/** A scan that was answered otherwise than its maker may have thought. */
export interface Refused {
  whose: string;
  label: string;
  said: string;
}

interface Kept {
  /** Where each visit stands, as the query of an address. */
  standings: Record<string, string>;
  refused: Refused[];
}

const PLACE = "onhand-floor";
/** Each scan by its key. */
const SCAN = "onhand-floor-scan/";
/** So many that were not taken are shown; who did not look at these does not look at more. */
const REFUSED = 20;
/** So many visits of which nothing waits are known. */
const VISITS = 20;

function read(): Kept {
  const text = localStorage.getItem(PLACE);
  return text ? (JSON.parse(text) as Kept) : { standings: {}, refused: [] };
}

/** What waits, in the order it was made in. */
export function scans(): Scan[] {
  const names = Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index) ?? "");
  const texts = names.filter((name) => name.startsWith(SCAN)).map((name) => localStorage.getItem(name));
  const all = texts.filter((text) => text !== null).map((text) => JSON.parse(text) as Scan);
  return all.sort((one, other) => (one.nth ?? 0) - (other.nth ?? 0) || one.at - other.at);
}

/** Changes what is kept, in one write. Throws where the browser keeps nothing. */
function change(how: (kept: Kept) => void): void {
  const kept = read();
  how(kept);
  // Pages that are open beside this one may still ask where they stand.
  const used = new Set(scans().map((scan) => scan.visit));
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
  const { standings } = read();
  const last = scans().filter((scan) => scan.whose === whose).at(-1);
  const visit = last && standings[last.visit] === standing ? last.visit : random();
  change((kept) => { kept.standings[visit] = standing; });
  return visit;
}

export const refused = (whose: string): Refused[] => read().refused.filter((one) => one.whose === whose);
export const standing = (of: string): string | undefined => read().standings[of];

/** Keeps a scan, of a visit that stands so where nothing else of it waits. */
export function add(scan: Scan, standing: string): void {
  const nth = 1 + (scans().at(-1)?.nth ?? 0);
  change((kept) => { kept.standings[scan.visit] ??= standing; });
  localStorage.setItem(SCAN + scan.key, JSON.stringify({ ...scan, nth }));
}

/** A scan was answered: where its visit stands now, and what is to be said of it later. */
export function answered(scan: Scan, stands: string | undefined, said?: string): void {
  change((kept) => {
    if (stands !== undefined) kept.standings[scan.visit] = stands;
    if (said) kept.refused = [{ whose: scan.whose, label: scan.label, said }, ...kept.refused].slice(0, REFUSED);
  });
  localStorage.removeItem(SCAN + scan.key);
}

/** Somebody has seen what was not taken. */
export function seen(whose: string, index: number): void {
  change((kept) => {
    const mine = kept.refused.filter((one) => one.whose === whose);
    kept.refused = kept.refused.filter((one) => one !== mine[index]);
  });
}
