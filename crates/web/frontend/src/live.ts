// An open page hears of what moves on it, asks for itself again, and swaps what differs.
//
// A page that nobody looks at hears of nothing: a browser has six connections to a server (HTTP/1.1), and each open page would take one.

import htmx from "htmx.org";
import { calm } from "./calm";

/** A page takes a tenth of the time at most that the server has for it: after an answer it waits for so many times as long as that took. */
const REST = 9;
/** How long to wait where there is no answer at all, in milliseconds. */
const PATIENCE = 5000;

export function live(): void {
  let source: EventSource | undefined;
  let address = "";
  let asking = false;
  let again = false;

  const page = () => document.getElementById("page");
  const say = (text: string, isLost = false) => {
    const place = document.getElementById("live");
    if (!place || place.textContent === text) return;
    place.textContent = text;
    place.classList.toggle("lost", isLost);
  };
  const lost = () => say("connection lost, trying again", true);

  /** Asks for this page again; once at a time, and once more where something moved meanwhile. */
  async function ask(): Promise<void> {
    again = asking;
    if (asking) return;
    asking = true;
    const began = performance.now();
    const here = location.href;
    try {
      // Nobody does anything: that this page asks keeps nobody signed in.
      const answer = await fetch(here, { headers: { Accept: "text/html", "Onhand-Again": "1" } });
      // Signed out meanwhile: where one signs in leads back to here.
      if (answer.redirected) return location.reload();
      if (!answer.ok) return lost();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("page");
      const old = page();
      // Somebody searches on: what comes of that is newer.
      if (!fresh || !old || location.href !== here) return;
      const fragment = document.createDocumentFragment();
      fragment.append(fresh);
      calm(old, fragment);
      htmx.process(old);
      listen();
    } catch {
      lost();
    } finally {
      setTimeout(() => { asking = false; if (again) void ask(); }, REST * (performance.now() - began));
    }
  }

  /** Listens where the page says, if somebody looks at it. */
  function listen(): void {
    const wanted = document.hidden ? "" : page()?.dataset["live"] ?? "";
    if (wanted === address && source) return;
    source?.close();
    source = undefined;
    address = wanted;
    if (!wanted) return;
    const mine = new EventSource(`${wanted}&since=${page()?.dataset["seq"] ?? 0}`);
    source = mine;
    mine.addEventListener("hello", () => say("live"));
    mine.addEventListener("moved", () => void ask());
    mine.addEventListener("error", () => {
      lost();
      if (mine.readyState !== EventSource.CLOSED || source !== mine) return;
      // The server answered otherwise: whoever is signed out is led to where one signs in.
      source = undefined;
      setTimeout(() => { if (!source) void ask().then(listen); }, PATIENCE);
    });
  }

  document.addEventListener("visibilitychange", listen);
  document.body.addEventListener("htmx:afterSettle", listen);
  addEventListener("pagehide", () => { source?.close(); source = undefined; });
  addEventListener("pageshow", listen);
}
