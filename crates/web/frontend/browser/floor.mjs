// A clerk on the floor of a running server, with a scanner, a camera and a bad connection: `node floor.mjs ADDRESS KEY FOLDER`.
//
// What is scanned while there is none, while answers are lost and while the page is loaded again is in the ledger once. See `walk.mjs`.

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { film } from "./barcode.mjs";
import { line as lineTo } from "./line.mjs";
import { walk } from "./walk.mjs";

const [PEN, CASE, SEEN] = ["4006381333931", "10614141000415", "5901234123457"];
const THEMES = ["light", "dark"];

const own = await mkdtemp(join(tmpdir(), "onhand-floor-"));
await film(join(own, "seen.y4m"), SEEN);
const args = [
  "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${join(own, "seen.y4m")}`,
];
let line;
const through = async (address) => { line = await lineTo(address); return line.address; };
process.on("exit", () => { line?.end(); rmSync(own, { recursive: true, force: true }); });

await walk({ args, through }, async ({ opened, go, looked, until, api, fail, signIn, browser }) => {
  for (const [code, name] of [["DOCK", "Dock"], ["A-01", "Shelf by the door"], ["A-02", "Shelf by the window"]]) {
    await api("/locations", { code, name, parent: "LONDON" });
  }
  await api("/locations", { code: "BERLIN", name: "Berlin" });
  await api("/items", { sku: "PEN", name: "Ballpoint pen, blue", barcodes: [PEN], packs: [{ name: "case", quantity: 6, barcode: CASE }] });
  await api("/items", { sku: "LAMP", name: "Desk lamp with a name that is longer than a phone is wide", barcodes: [SEEN] });
  const lines = [{ sku: "PEN", quantity: 24 }, { sku: "LAMP", quantity: 3 }];
  const { id: order } = await api("/purchase-orders", { supplier: "Paper & Pen Ltd", reference: "PO-1007", location: "LONDON", lines });
  const { id: transfer } = await api("/transfers", { from: "LONDON", to: "BERLIN", reference: "T-31", lines: [{ sku: "PEN", quantity: 2 }] });

  const history = async (sku) => (await api(`/items/${sku}/history?limit=100`)).data;
  const onHand = async (sku, place) => {
    const stock = await api(`/items/${sku}/stock`);
    return stock.locations.find((one) => one.location === place)?.on_hand ?? 0;
  };
  const is = (what, got, wanted) => { if (JSON.stringify(got) !== JSON.stringify(wanted)) fail(what, `${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`); };

  // A cut line is said in the console, and so is what is scanned and unknown.
  const page = await opened(/status of 4|net::ERR_|status of 5/);
  await page.evaluateOnNewDocument(() => {
    // What is felt and heard.
    window.signals = [];
    navigator.vibrate = (shakes) => { window.signals.push({ shakes: String(shakes), tones: 0 }); return true; };
    const make = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () { window.signals.at(-1).tones += 1; return make.call(this); };
  });
  await page.setViewport({ width: 360, height: 740 });
  await signIn(page);

  const pictures = async (name, widths = [360]) => {
    for (const width of widths) for (const theme of THEMES) await looked(page, `floor-${name}`, width, theme);
    await page.setViewport({ width: 360, height: 740 });
  };
  const network = await page.createCDPSession();
  await network.send("Network.enable");
  const offline = (offline) => network.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  /** As a scanner does: a key each 10 ms, and Enter, by the clock that keys carry, however busy the machine is. */
  let ended = 0;
  const scan = async (code) => {
    const begun = Math.max(Date.now(), ended + 500);
    const keys = [...code].map((key) => ({ key, text: key })).concat({ key: "Enter", code: "Enter", text: "\r", windowsVirtualKeyCode: 13 });
    ended = begun + keys.length * 10;
    await Promise.all(keys.flatMap(({ text, ...key }, nth) => {
      const timestamp = (begun + nth * 10) / 1000;
      return [{ type: "keyDown", text, unmodifiedText: text }, { type: "keyUp" }]
        .map((event) => network.send("Input.dispatchKeyEvent", { ...event, ...key, timestamp }));
    }));
  };
  const says = (what) => until(page, `"${what}" is said`, (what) => document.getElementById("said")?.textContent?.includes(what), what);
  const waits = (what) => until(page, `"${what}" is said of what waits`, (what) => document.getElementById("waiting")?.textContent?.includes(what), what);
  const nothingWaits = () => until(page, "nothing waits", () => document.getElementById("waiting").hidden);
  const focused = () => page.evaluate(() => document.activeElement?.id);
  const signals = () => page.evaluate(() => window.signals.splice(0));

  await go(page, "/floor");
  await pictures("tasks", [360, 1280]);
  await go(page, "/more");
  await pictures("more");
  is("the bar of a phone", await page.evaluate(() => [...document.querySelectorAll(".rail nav a")]
    .filter((link) => link.offsetParent).map((link) => link.firstChild.textContent.trim())), ["Overview", "Stock", "Floor", "Discrepancies", "More"]);
  await go(page, "/floor/receive");
  await until(page, "a place is asked for", () => document.getElementById("now").textContent.includes("Scan where you are"));
  await pictures("nowhere");

  // What is known, not known and in the wrong place sounds and feels otherwise; the next scan is always awaited.
  await go(page, "/floor/receive?at=LONDON");
  await pictures("receive-begin", [360, 1280]);
  const felt = {};
  for (const [code, said, fate] of [["DOCK", "comes in at DOCK", "known"], ["4006381333932", "misread", "unknown"], [PEN, "1 × PEN received at DOCK", "known"]]) {
    await signals();
    await scan(code);
    await says(said);
    const [signal] = await signals();
    felt[fate] = signal;
    is(`the field after ${code}`, [await focused(), await page.$eval("#code", (field) => field.value)], ["code", ""]);
    if (fate === "unknown") await pictures("unknown");
  }
  // Keys go to the field from anywhere; what a scanner types into another field is a scan, and that field is as it was.
  await page.evaluate(() => document.activeElement.blur());
  await scan(PEN);
  await until(page, "two scans", () => document.querySelectorAll(".scans li").length >= 2);
  await page.evaluate(() => { const field = document.getElementById("quantity"); field.value = "3"; field.focus(); field.select(); });
  await scan(PEN);
  await says("3 × PEN received at DOCK");
  is("the quantity after a scan", await page.$eval("#quantity", (field) => field.value), "1");
  await scan(CASE);
  await says("6 × PEN received at DOCK");
  is("received", [await onHand("PEN", "DOCK"), (await history("PEN")).length], [11, 4]);
  await pictures("receive", [360, 1280]);

  // One of the last scans is taken back, by a movement that names it.
  await page.click(".scans li:first-child button");
  await says("Taken back");
  is("taken back", [await onHand("PEN", "DOCK"), (await history("PEN"))[0].quantity !== undefined], [5, true]);
  await pictures("undone");

  // Ten scans without a connection: they wait here, and are ten movements when it is back.
  let before = (await history("PEN")).length;
  await offline(true);
  for (let number = 1; number <= 10; number += 1) {
    await scan(PEN);
    if (number === 3) await waits("3 scans wait here"), await pictures("offline");
  }
  await waits("10 scans wait here");
  // A link leads nowhere now, and the page stays.
  await page.click(".tabs a");
  is("nothing came without a connection", (await history("PEN")).length, before);
  await offline(false);
  await nothingWaits();
  is("ten scans", [(await history("PEN")).length - before, await onHand("PEN", "DOCK")], [10, 15]);

  // Answers are lost on the way: what was done is not done again.
  before = (await history("PEN")).length;
  line.is = "deaf";
  for (let number = 0; number < 3; number += 1) await scan(PEN);
  await waits("3 scans wait here");
  const lost = line.lost;
  for (let tries = 0; line.lost < lost + 2 && tries < 200; tries += 1) await new Promise((later) => setTimeout(later, 50));
  if (line.lost < lost + 2) fail("answers that are lost", "nothing is tried again");
  line.is = "well";
  await nothingWaits();
  is("three scans whose answers were lost", (await history("PEN")).length - before, 3);

  // The page is loaded again while scans wait, and its server does not take any; they are still here, and are sent.
  before = (await history("PEN")).length;
  await page.setRequestInterception(true);
  let takes = false;
  page.on("request", (request) => {
    if (request.method() === "POST" && !takes) return request.abort();
    // One that the server fails over, each time.
    return request.postData()?.includes("POISON") ? request.respond({ status: 500, body: "" }) : request.continue();
  });
  for (let number = 0; number < 4; number += 1) await scan(PEN);
  await scan("POISON");
  await scan("NOBODY-KNOWS-IT");
  await waits("6 scans wait here");
  await page.reload({ waitUntil: "load" });
  await waits("6 scans wait here");
  await scan(PEN);
  await waits("7 scans wait here");
  takes = true;
  await nothingWaits();
  is("five scans over a reload", (await history("PEN")).length - before, 5);
  await until(page, "what was not taken", () => /NOBODY-KNOWS-IT.*no item.*POISON The server failed/s.test(document.getElementById("refused").textContent));
  await pictures("not-taken");
  await page.click("#refused button");
  await page.click("#refused button");
  await until(page, "it is seen", () => document.getElementById("refused").hidden);

  // Signed out meanwhile: what is scanned waits until somebody signs in again, and is theirs.
  before = (await history("PEN")).length;
  const cookies = await browser.cookies();
  await browser.deleteCookie(...cookies);
  await scan(PEN);
  await waits("1 scan waits here. Sign in to go on");
  await pictures("signed-out");
  // Nor does anybody else's session send it.
  const { key: theirs } = await api("/keys", { name: "bea", role: "clerk" });
  await signIn(page, theirs);
  await go(page, "/floor/receive?at=DOCK");
  await scan("LAMP");
  await says("1 × LAMP received at DOCK");
  await waits("1 scan waits here for demo to sign in on this device");
  is("another's scan", [(await history("PEN")).length - before, (await history("LAMP"))[0].actor], [0, "bea"]);
  await browser.deleteCookie(...(await browser.cookies()));
  await browser.setCookie(...cookies);
  await go(page, "/floor/receive?at=DOCK");
  // A page that was just opened has not looked yet whether any waits.
  for (let tries = 0; tries < 100 && (await history("PEN")).length === before; tries += 1) await new Promise((over) => setTimeout(over, 50));
  await nothingWaits();
  is("a scan before signing in", (await history("PEN")).length - before, 1);

  // Goods of an order: accepted, rejected, and those that are not expected.
  await go(page, `/floor/receive?at=DOCK&of=purchase-${order}`);
  await scan(CASE);
  await says("6 × PEN received at DOCK");
  await page.click("input[value=damaged]");
  await scan(PEN);
  await says("1 × PEN received at DOCK, damaged");
  await signals();
  await scan("SPOON");
  await says("SPOON is not expected with PO-1007");
  [felt.wrong] = await signals();
  await pictures("order", [360, 1280]);
  await page.click(".all summary");
  await page.click(".all button");
  await says("17 × PEN received at DOCK");
  is("signals differ", new Set(Object.values(felt).map((signal) => JSON.stringify(signal))).size, 3);
  if (Object.values(felt).some((signal) => !signal?.tones)) fail("signals", `not heard: ${JSON.stringify(felt)}`);

  await go(page, "/floor/put-away?at=DOCK");
  await pictures("put-away-begin");
  await scan("BERLIN");
  await says("BERLIN is the wrong place");
  await pictures("wrong-place");
  await scan("A-01");
  await scan(CASE);
  await says("6 × PEN from DOCK to A-01");
  await pictures("put-away");

  await api("/movements/receive", { location: "LONDON", lines: [{ sku: "PEN", quantity: 2 }] });
  await go(page, "/floor/transfer?at=LONDON");
  await pictures("transfer-begin");
  await go(page, `/floor/transfer?at=LONDON&of=transfer-${transfer}`);
  await scan(PEN);
  await says("1 × PEN left LONDON for BERLIN");
  await pictures("transfer");

  // A count: by scanning, by saying how many, and again where somebody took something meanwhile.
  await go(page, "/floor/count?at=A-01");
  await pictures("count-begin", [360, 1280]);
  await page.click("button[value=open]");
  await says("is open");
  await scan(PEN);
  await scan(PEN);
  await says("PEN: 2");
  await pictures("count");
  await api("/movements/adjust", { location: "A-01", reason: "shrinkage", lines: [{ sku: "PEN", quantity: -1 }] });
  await page.click(".hand button");
  await says("Count PEN again: its stock moved meanwhile");
  await pictures("count-again");
  await scan(PEN);
  await says("PEN: 1");
  await page.click("#number");
  await page.keyboard.type("5", { delay: 100 });
  await page.keyboard.press("Enter");
  await says("PEN: 5 counted");
  await page.click("form[action='/floor/count/book'] button");
  await page.waitForSelector("#counts");
  is("counted", await onHand("PEN", "A-01"), 5);

  await go(page, "/floor/look-up");
  await scan(CASE);
  await says("This is a pack of 6");
  await pictures("look-up", [360, 1280]);
  await scan("A-01");
  await until(page, "where it is", () => document.getElementById("work").textContent.includes("in LONDON"));
  await pictures("look-up-place");

  // The camera reads a barcode, by what this server has, and reads it once while it is in sight.
  before = (await history("LAMP")).filter((row) => row.quantity === 1).length;
  await go(page, "/floor/receive?at=DOCK");
  await page.click("[data-tool=camera]");
  await page.waitForFunction(() => document.getElementById("said").textContent.includes("1 × LAMP received at DOCK"), { timeout: 20_000, polling: 50 })
    .catch(() => fail("the camera", "reads nothing"));
  await pictures("camera");
  await page.click("[data-tool=camera]");
  is("seen by the camera", (await history("LAMP")).filter((row) => row.quantity === 1).length, before + 1);

  // On a phone its keyboard is not in the way of a scanner, until somebody asks for it.
  await page.setViewport({ width: 360, height: 740, isMobile: true, hasTouch: true });
  await go(page, "/floor/receive?at=DOCK");
  const keyboard = () => page.$eval("#code", (field) => field.inputMode);
  is("before somebody types", [await keyboard(), await focused()], ["none", "code"]);
  await page.click("[data-tool=keyboard]");
  is("once somebody types", [await keyboard(), await focused()], ["text", "code"]);

  // Without script the same forms do the same.
  const plain = await browser.newPage();
  await plain.setJavaScriptEnabled(false);
  await plain.setViewport({ width: 360, height: 740 });
  await go(plain, "/floor/receive?at=DOCK");
  before = await onHand("PEN", "DOCK");
  await plain.type("#code", PEN);
  await Promise.all([plain.waitForNavigation(), plain.keyboard.press("Enter")]);
  await Promise.all([plain.waitForNavigation(), plain.reload()]);
  is("without script", await onHand("PEN", "DOCK"), before + 1);
  return { scans: (await history("PEN")).length };
});
