// The floor's pages: a scan is taken at once, kept, and sent in its turn, so that the next is always awaited and none is lost or done twice.
//
// It sends the forms that are on the page without it, and shows what the same pages answer: it knows nothing of stock.

import * as kept from "./kept";
import { type Fate, signal } from "./signal";
import { wedge } from "./wedge";

/** A request that is not answered so long is sent again, in milliseconds: whether it was done, its key knows. */
const PATIENCE = 10_000;
/** How long to wait before trying again, in milliseconds: twice as long each time, up to the last. */
const AGAIN = [500, 5_000] as const;
/** What waited longer than that is told of in a list too: its maker may be elsewhere by now. In milliseconds. */
const LATE = 2_000;
/** How often one is sent that the server fails over. */
const TRIES = 3;

type State = "well" | "lost" | "signed out";

export function floor(): void {
  const place = document.getElementById("floor");
  const field = document.querySelector<HTMLInputElement>("#code");
  if (!place || !field) return;
  const whose = place.dataset["whose"] ?? "";
  const task = place.dataset["task"] ?? "";
  const href = () => document.getElementById("now")?.dataset["href"] ?? task;
  const query = (address: string) => new URL(address, location.origin).search;

  const show = (address: string) => history.replaceState(history.state, "", address);
  show(href());
  let visit: string;
  try {
    visit = kept.visit(whose, query(href()));
  } catch {
    // A browser that keeps nothing sends each form as it is.
    return;
  }
  let state: State = "well";
  let delay: number = AGAIN[0];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isSending = false;
  let tries = 0;

  const mine = () => kept.scans().filter((scan) => scan.whose === whose);
  const ready = () => field.focus({ preventScroll: true });

  /** Keeps what a form says, to be sent in its turn. */
  function take(path: string, fields: Record<string, string>, label: string): void {
    kept.add({ key: `floor-${kept.random()}`, whose, path, visit, fields, label, at: Date.now() }, query(href()));
    if (state !== "well") signal("kept");
    tell();
    ready();
    void send();
  }

  /** What somebody says in a form, without what the page says there by itself. */
  function fields(form: HTMLFormElement, button: HTMLElement | null): Record<string, string> {
    const said: Record<string, string> = {};
    for (const input of form.querySelectorAll<HTMLInputElement>("input")) {
      const isOurs = input.name === "key" || input.closest("[hidden]");
      if (!isOurs && (input.type !== "radio" || input.checked)) said[input.name] = input.value.trim();
    }
    if (button instanceof HTMLButtonElement && button.name) said[button.name] = button.value;
    return said;
  }

  function taken(form: HTMLFormElement, button: HTMLElement | null): void {
    const said = fields(form, button);
    const isScan = form.id === "scan";
    if (isScan && !said["code"]) return ready();
    const label = said["code"] || button?.getAttribute("aria-label") || button?.textContent || "a number";
    try {
      take(new URL(form.action).pathname, said, label);
    } catch {
      // Nothing more can be kept: it goes as it would without script.
      return form.submit();
    }
    if (!isScan) return;
    field!.value = "";
    const many = form.querySelector<HTMLInputElement>("#quantity");
    if (many) many.value = "1";
  }

  function scanned(code: string): void {
    field!.value = code;
    field!.form?.requestSubmit();
  }

  /** Sends what is kept, one after the other; one page at a time, where several are open. */
  async function send(): Promise<void> {
    if (isSending) return;
    isSending = true;
    clearTimeout(timer);
    try {
      const all = async () => { for (let next = mine()[0]; next; next = mine()[0]) if (!(await sent(next))) return; };
      await (navigator.locks ? navigator.locks.request("onhand-floor", all) : all());
    } finally {
      isSending = false;
      tell();
    }
    if (state === "lost" && mine().length > 0) {
      timer = setTimeout(() => void send(), delay);
      delay = Math.min(delay * 2, AGAIN[1]);
    }
  }

  /** Sends one. False where it is to be sent again later. */
  async function sent(scan: kept.Scan): Promise<boolean> {
    const body = new URLSearchParams(kept.standing(scan.visit));
    for (const [name, value] of Object.entries(scan.fields)) body.set(name, value);
    const waited = Math.max(0, Date.now() - scan.at);
    body.set("key", scan.key);
    body.set("ago", String(waited));
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(scan.path, {
        method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(PATIENCE),
        headers: { "Floor-Scan": "1", Accept: "text/html" },
      });
      text = await answer.text();
    } catch {
      return is("lost");
    }
    // Led to where one signs in.
    if (answer.type === "opaqueredirect" || answer.status === 401) return is("signed out");
    tries = answer.status === 500 ? tries + 1 : 0;
    if (tries === TRIES) return givenUp(scan);
    if (answer.status >= 500 || answer.status === 429 || answer.status === 408) return is("lost");
    const page = new DOMParser().parseFromString(text, "text/html");
    const said = page.getElementById("said");
    const words = (said?.querySelector(".words") ?? page.querySelector(".wrong"))?.textContent?.trim();
    // Somebody else answered: a hotspot that wants a word first, or a proxy.
    if (!words) return is("lost");
    is("well");
    delay = AGAIN[0];
    const fate = (said?.dataset["fate"] || "wrong") as Fate;
    const stands = page.getElementById("now")?.dataset["href"];
    const isToBeSeen = fate !== "known" && (waited >= LATE || mine().length > 1);
    kept.answered(scan, stands && query(stands), isToBeSeen ? words : undefined);
    if (scan.visit === visit) swap(page, stands);
    const place = document.getElementById("said");
    if (place && !said) place.textContent = words;
    signal(fate);
    return true;
  }

  /** One that the server fails over each time keeps no other waiting: its maker is told. */
  function givenUp(scan: kept.Scan): boolean {
    tries = 0;
    kept.answered(scan, undefined, "The server failed over it: look whether it was done, or scan it again.");
    signal("wrong");
    return true;
  }

  function is(now: State): boolean {
    state = now;
    tell();
    return false;
  }

  /** Shows what a page says, and leaves the field and what is typed as they are. */
  function swap(page: Document, stands: string | undefined): void {
    const isTyping = document.activeElement !== field && document.activeElement instanceof HTMLInputElement && document.activeElement;
    for (const fresh of page.querySelectorAll<HTMLElement>("#said, [data-swap]")) {
      const old = document.getElementById(fresh.id);
      if (!old || (isTyping && old.contains(isTyping))) continue;
      for (const { name, value } of [...fresh.attributes]) old.setAttribute(name, value);
      old.replaceChildren(...fresh.childNodes);
    }
    if (stands) show(stands);
    if (!isTyping) ready();
  }

  /** Shows where another page has taken this one's visit. It is not loaded again: what is scanned meanwhile would be lost. */
  async function catchUp(address: string): Promise<void> {
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const stands = page.getElementById("now")?.dataset["href"];
      if (stands && query(stands) === kept.standing(visit)) swap(page, stands);
    } catch {
      // It shows what it did; the next answer says where it is.
    }
  }

  /** Says what waits, and what was not taken. */
  function tell(): void {
    const all = kept.scans();
    const own = all.filter((scan) => scan.whose === whose);
    const others = all.filter((scan) => scan.whose !== whose);
    const lines: Node[] = [];
    if (state === "signed out") {
      const link = document.createElement("a");
      link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
      link.textContent = "Sign in";
      lines.push(line("p", strong(own.length ? many(own.length) : "You are signed out"), ". ", link, " to go on."));
    } else if (own.length > 0 && state === "lost") {
      const sent = own.length === 1 ? "it is sent" : "they are sent";
      lines.push(line("p", strong(many(own.length)), `. The server is not reached; ${sent} when it is.`));
    } else if (own.length > 1) {
      lines.push(line("p", strong(many(own.length)), " to be sent."));
    }
    if (state !== "well" && own.length > 0) lines.push(line("ol", ...own.map((scan) => line("li", scan.label))));
    if (others.length > 0) {
      const names = [...new Set(others.map((scan) => scan.whose.replace(/^\d+:/, "")))].join(" and ");
      lines.push(line("p", strong(many(others.length)), ` for ${names} to sign in on this device.`));
    }
    fill("waiting", lines);
    fill("refused", kept.refused(whose).map((one, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Seen";
      button.addEventListener("click", () => { kept.seen(whose, index); tell(); ready(); });
      const label = one.said.includes(one.label) ? [] : [strong(one.label), " "];
      return line("li", line("p", ...label, one.said), button);
    }));
  }

  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.dataset["scan"] !== undefined) {
      event.preventDefault();
      taken(form, event.submitter);
    } else if (state === "lost") event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    // Another page cannot be had now, and this one would be gone.
    if (state === "lost" && target.closest("a[href]")) event.preventDefault();
    if (!target.closest("a, button, input, select, label, summary")) ready();
    // A number is said anew.
    if (target instanceof HTMLInputElement && target.inputMode === "decimal") target.select();
  });
  addEventListener("online", () => void send());
  // Another page sent what was scanned here.
  addEventListener("storage", () => {
    tell();
    const stands = kept.standing(visit);
    if (stands !== undefined && stands !== query(href()) && mine().every((scan) => scan.visit !== visit)) void catchUp(task + stands);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { ready(); void send(); } });
  wedge(field, scanned);
  tools(field, scanned);
  ready();
  tell();
  void send();
}

const many = (number: number) => (number === 1 ? "1 scan waits here" : `${number} scans wait here`);

function line(name: "p" | "li" | "ol", ...parts: (Node | string)[]): HTMLElement {
  const element = document.createElement(name);
  element.append(...parts);
  return element;
}

function strong(text: string): HTMLElement {
  const element = document.createElement("strong");
  element.textContent = text;
  return element;
}

/** Fills a place that is there only while something is in it. */
function fill(id: string, lines: Node[]): void {
  const place = document.getElementById(id);
  if (!place) return;
  place.hidden = lines.length === 0;
  (place.querySelector("[data-lines]") ?? place).replaceChildren(...lines);
}

/** The keyboard of a phone, which is in the way of a scanner, and its camera. */
function tools(field: HTMLInputElement, tell: (code: string) => void): void {
  const bar = document.getElementById("tools");
  const place = document.getElementById("camera");
  const video = place?.querySelector("video");
  const data = document.getElementById("floor")?.dataset;
  const [camera, keyboard] = ["camera", "keyboard"].map((name) => bar?.querySelector<HTMLButtonElement>(`[data-tool=${name}]`));
  if (!bar || !place || !video || !data || !camera || !keyboard) return;
  bar.hidden = false;
  camera.hidden = !data["camera"];
  const isTouched = matchMedia("(pointer: coarse)").matches;
  keyboard.hidden = !isTouched;
  if (isTouched) field.inputMode = "none";
  const typed = () => { field.inputMode = "text"; field.blur(); field.focus(); };
  keyboard.addEventListener("click", typed);
  field.addEventListener("pointerdown", () => { field.inputMode = "text"; });

  let close: (() => void) | undefined;
  const shut = () => {
    close?.();
    close = undefined;
    place.hidden = true;
    camera.textContent = "Camera";
  };
  camera.addEventListener("click", () => void (async () => {
    if (close) return shut();
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
      const eye = (await import(data["camera"] ?? "")) as typeof import("./camera");
      place.hidden = false;
      close = await eye.open(video, data["reader"] ?? "", tell);
      camera.textContent = "Close camera";
    } catch (error) {
      shut();
      const said = document.getElementById("said");
      if (said) said.textContent = `▲ ${why(error)}`;
    }
    field.focus({ preventScroll: true });
  })());
  addEventListener("pagehide", shut);
}

function why(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "SecurityError": return "A browser opens its camera for pages over HTTPS alone. Ask for this server's https:// address.";
    case "NotAllowedError": return "The camera may not be used: allow it for this site in the browser's settings.";
    case "NotFoundError": return "This device has no camera.";
    default: return "The camera does not open: another program may have it.";
  }
}
