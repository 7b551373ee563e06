// What walks through pages in a real browser have in common: `node WALK.mjs ADDRESS KEY FOLDER`.
//
// A page is looked at by axe-core, must not be wider than its window, and is kept as a picture in FOLDER. Prints one line of JSON for each
// failure; exits with 1 where there is one. CHROME names the browser.

import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [address, key, folder] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const failures = [];
const fail = (where, what) => failures.push({ where, what });

/** The browser that is named, or one that is on this machine. */
function chrome() {
  const named = process.env.CHROME;
  const folders = (process.env.PATH ?? "").split(":");
  const names = named ? [named] : ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const all = names.flatMap((name) => (name.includes("/") ? [name] : folders.map((folder) => join(folder, name))));
  const found = all.find((path) => existsSync(path));
  if (!found) throw new Error("there is no browser: install Chromium, or name one in CHROME; `cargo xtask test` installs one");
  return found;
}

let browser;

/** A page whose console says nothing bad, but what is expected: a refused script or style is said there. */
async function opened(expected = /status of 4/) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => fail(page.url(), `script: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) fail(page.url(), `console: ${message.text()}`);
  });
  return page;
}

/** Where the browser finds the server. */
let at = address;
const go = (page, path) => page.goto(at + path, { waitUntil: "load" });

async function looked(page, name, width, theme) {
  await page.setViewport({ width, height: width < 720 ? 740 : 800, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: theme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  const where = `${name} at ${width}, ${theme}`;
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) fail(where, `is ${wide} px wider than the window`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations) {
    fail(where, `axe: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  }
  await page.screenshot({ path: join(folder, `${name}-${width}-${theme}.png`), fullPage: true });
}

/** What is not so by then never is, in milliseconds: a scan is tried again after 5 seconds at most. */
const PATIENCE = 15_000;

/** Waits until that is so on the page, and says how long it took. */
async function until(page, what, isSo, ...told) {
  const began = Date.now();
  try {
    await page.waitForFunction(isSo, { timeout: PATIENCE, polling: 20 }, ...told);
  } catch {
    fail(page.url(), `never: ${what}`);
  }
  return Date.now() - began;
}

async function api(path, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${address}/v1${path}`, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Signs in with a key: the one that the walk was given, unless told. */
async function signIn(page, by = key) {
  await go(page, "/sign-in");
  await page.click("summary");
  await page.type("#key", by);
  await Promise.all([page.waitForNavigation(), page.click("details button")]);
}

/** Takes the steps in a browser of their own, which has these arguments and is at `through` where that is not the server itself. */
export async function walk({ args = [], through }, steps) {
  try {
    await mkdir(folder, { recursive: true });
    // In containers and as root there is no sandbox to be had; nothing but our own pages is opened.
    const always = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
    browser = await puppeteer.launch({ executablePath: chrome(), args: [...always, ...args] });
    if (through) at = await through(address);
    const took = await steps({ browser, opened, go, looked, until, api, fail, signIn });
    console.log(JSON.stringify({ ...took, failures: failures.length }));
  } catch (error) {
    fail("the walk", String(error.stack ?? error));
  } finally {
    await browser?.close();
  }
  for (const failure of failures) console.log(JSON.stringify(failure));
  process.exit(failures.length ? 1 : 0);
}
