// A scanner that is a keyboard: it types a code faster than anybody, and ends it with Enter.

/** No two keys of a scanner are further apart, in milliseconds; nobody types several so fast. */
const APART = 50;
/** A shorter burst is no code. */
const SHORTEST = 4;

const isTyped = (target: EventTarget | null) => target instanceof Element && target.matches("input, select, textarea");

/** Has every scan in `field`: what is typed nowhere goes there, and what a scanner types elsewhere is taken from there and told. */
export function wedge(field: HTMLInputElement, tell: (code: string) => void): void {
  let burst = "";
  let last = 0;
  let elsewhere: HTMLInputElement | undefined;
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { key, target } = event;
    if (key.length === 1) {
      if (!isTyped(target)) field.focus({ preventScroll: true });
      const isNext = event.timeStamp - last <= APART;
      last = event.timeStamp;
      if (isNext) {
        burst += key;
      } else {
        burst = key;
        elsewhere = target instanceof HTMLInputElement && target !== field ? target : undefined;
        before = elsewhere?.value ?? "";
      }
    } else if (key === "Enter") {
      const isScan = elsewhere && elsewhere === target && burst.length >= SHORTEST && event.timeStamp - last <= APART;
      if (isScan && elsewhere) {
        event.preventDefault();
        elsewhere.value = before;
        tell(burst);
      }
      burst = "";
    }
  }, { capture: true });
}
