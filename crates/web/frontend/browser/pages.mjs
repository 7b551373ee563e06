// Walks the pages of a running server in a real browser: `node pages.mjs ADDRESS KEY FOLDER`.
//
// Each page at desktop and phone width, light and dark, then what only script does. See `walk.mjs`.

import { walk } from "./walk.mjs";

await walk({}, async ({ browser, opened, go, looked, until, api, fail, signIn }) => {
  const page = await opened();
  await go(page, "/sign-in");
  for (const width of [1280, 360]) for (const theme of ["light", "dark"]) await looked(page, "sign-in", width, theme);
  await signIn(page);

  // Somebody is added, signs in with what they were given, and has to choose a password of their own.
  const given = await api("/users", { name: "ada", role: "operator" });
  await api("/users", { name: "someone.with-a-name-that-is-as-long-as-it-can-be_and_then_a_little_longer@warehouse.example.com", role: "viewer" });
  const person = await browser.createBrowserContext();
  const theirs = await person.newPage();
  await go(theirs, "/sign-in");
  await theirs.type("#name", "ada");
  await theirs.type("#password", given.password);
  await Promise.all([theirs.waitForNavigation(), theirs.click("button.primary")]);
  if (!theirs.url().endsWith("/account")) fail("sign-in", `leads to ${theirs.url()}`);
  await looked(theirs, "account-first", 360, "light");
  for (const [field, value] of [["now", given.password], ["password", "correct horse battery staple"], ["again", "correct horse battery staple"]]) {
    await theirs.type(`[name=${field}]`, value);
  }
  await Promise.all([theirs.waitForNavigation(), theirs.click("form[action='/account/password'] button")]);
  // On a second device too, which is ended from the first.
  const device = await browser.createBrowserContext();
  const other = await device.newPage();
  const asAda = async (on) => {
    for (const [field, value] of [["name", "ada"], ["password", "correct horse battery staple"]]) await on.type(`#${field}`, value);
    await Promise.all([on.waitForNavigation(), on.click("button.primary")]);
  };
  await go(other, "/sign-in?next=%2Fstock&why=idle");
  for (const width of [1280, 360]) for (const theme of ["light", "dark"]) await looked(other, "sign-in-again", width, theme);
  await asAda(other);
  if (!other.url().endsWith("/stock")) fail("sign-in", `leads to ${other.url()}`);
  await go(theirs, "/account");
  await theirs.click("section[aria-labelledby=places-heading] summary");
  for (const width of [1280, 360]) for (const theme of ["light", "dark"]) await looked(theirs, "account", width, theme);
  await theirs.type("form[action='/account/sessions/end'] [name=now]", "correct horse battery staple");
  await Promise.all([theirs.waitForNavigation(), theirs.click("form[action='/account/sessions/end'] button")]);
  await looked(theirs, "account-ended", 360, "light");
  await go(other, "/stock");
  if (!other.url().includes("/sign-in")) fail("/account", "a session that was ended goes on");
  await device.close();
  // Once codes are asked of everybody, whoever has none is led to where they are set up.
  await api("/sign-in-policy", { two_factor: true });
  await go(theirs, "/stock");
  if (!theirs.url().endsWith("/account")) fail("/stock", `leads to ${theirs.url()} without codes`);
  for (const width of [1280, 360]) for (const theme of ["light", "dark"]) await looked(theirs, "account-codes", width, theme);
  await api("/sign-in-policy", { two_factor: false });
  await person.close();

  const first = (list) => page.evaluate((list) => document.querySelector(list)?.getAttribute("href"), list);
  await go(page, "/stock");
  const item = await first("tbody th a");
  await go(page, "/orders");
  const order = await first("tbody th a");
  await go(page, "/systems");
  const system = await first("tbody th a");
  await go(page, "/discrepancies");
  const discrepancy = await first("tbody th a");
  // Rules of each kind, with names that are long or written from right to left.
  const cup = "כוס-כחולה-גדולה-300";
  const depot = "A-DEPOT-WITH-A-NAME-THAT-IS-AS-LONG-AS-ANYBODY-WOULD-WRITE-IT";
  const tag = "seasonal-and-fragile-and-from-a-supplier-with-a-long-name";
  await api("/items", { sku: cup, tags: [tag] });
  await api("/locations", { code: depot, groups: ["EU-STORES"] });
  const shown = await api("/publication", { system: "Shopify", sku: cup, formula: "available > 10 ? max(available - reserved - 5, 0) : min(available, on_hand) / 2" });
  await api("/publication", { tag, buffer: 2, cap: 40, percentage: 80, stop_at: 3, incoming_days: 7, locations: ["LONDON", { group: "EU-STORES" }] });
  await api("/ownership", { group: "EU-STORES", master: "Berlin" });
  const owned = await api("/ownership", { location: depot, sku: cup, master: "Shopify" });
  const rules = { rules: "/rules", rules_of_one: "/rules?system=Shopify", rule: `/rules/change?id=${shown.id}`,
    rule_follows: `/rules/change?of=sku&name=${item.replace("/items/", "")}&counts=at%3ALONDON&buffer=5&formula=`, rule_wrong: "/rules/change?system=Shopify&buffer=lots&formula=available",
    rule_end: `/rules/${shown.id}/end`, ownership: "/ownership", owner: "/ownership/change", owner_follows: "/ownership/change?place=at%3ALONDON&of=&name=&master=Berlin",
    owner_wrong: "/ownership/change?of=sku&name=there-is-none&master=Berlin", owner_end: `/ownership/${owned.id}/end` };
  const pages = { ...rules, overview: "/", stock: "/stock", stock_edit: "/stock/edit?q=", stock_edit_follows: `/stock/edit?i=${item.replace("/items/", "")}&add=${tag}&selling=stop&reason=recall`,
    stock_edit_wrong: `/stock/edit?i=${item.replace("/items/", "")}&add=&low=set&level=lots`, stock_edit_none: "/stock/edit?marked=1", item, orders: "/orders", order, systems: "/systems", system,
    connect: "/systems/connect", ...Object.fromEntries(["key", "found", "locations", "matches", "opening", "dry-run"].map((step) => [`connect_${step}`, `${system}/connect/${step}`])),
    discrepancies: "/discrepancies", discrepancy, activity: "/activity", settings: "/settings", webhooks: "/webhooks", account_of_key: "/account", nothing: "/stock?q=there-is-none", missing: "/nowhere" };
  for (const [name, path] of Object.entries(pages)) {
    if (!path) continue;
    await go(page, path);
    for (const width of [1280, 360]) for (const theme of ["light", "dark"]) await looked(page, name, width, theme);
  }

  // An open page says that it is live, and has what changes while somebody types and has something open.
  await page.setViewport({ width: 1280, height: 800 });
  const sku = decodeURIComponent(item.replace("/items/", ""));
  await go(page, item);
  await until(page, "live", () => document.getElementById("live").textContent === "live");
  await page.evaluate(() => document.querySelectorAll(".acts details")[1].setAttribute("open", ""));
  await page.type(".acts details[open] [name=note]", "half a senten");
  const { location } = (await api(`/items/${encodeURIComponent(sku)}/stock`)).locations[0];
  // Where what above it grew would move it, a browser scrolls along with it.
  const stands = () => page.evaluate(() => ({ scrolled: scrollY, top: document.querySelector(".acts details[open] [name=note]")?.getBoundingClientRect().top }));
  await page.evaluate(() => scrollTo(0, 160));
  const before = await stands();
  const changed = api("/movements/receive", { location, lines: [{ sku, quantity: 777 }] });
  const took = await until(page, "a receipt is on the item's page", () => /received: 777/.test(document.querySelector(".ledger")?.textContent ?? ""));
  await changed;
  // Before anything more is typed, for that shows the field to whoever types in it.
  const after = await stands();
  await page.keyboard.type("ce");
  const kept = await page.evaluate(() => ({
    note: document.querySelector(".acts details[open] [name=note]")?.value,
    has: document.activeElement?.getAttribute("name"),
  }));
  const isStill = Math.abs(after.scrolled - before.scrolled) <= 1 || Math.abs(after.top - before.top) <= 1;
  if (kept.note !== "half a sentence" || kept.has !== "note" || !isStill) {
    fail(item, `a swap loses what somebody does: ${JSON.stringify({ ...kept, before, after })}`);
  }
  // What follows from an action is said while it is filled in.
  await page.type(".acts details[open] [name=quantity]", "1");
  await until(page, "what follows", () => /would show:.*instead of/s.test(document.querySelector(".acts details[open] .foreseen")?.textContent ?? ""));
  await looked(page, "item-acting", 1280, "light");

  // What a rule would show follows what is typed, a formula that is none is told at its field, and what was shown is saved.
  const read = (id) => page.$eval(`#${id}`, (element) => element.textContent);
  // By the keyboard: a picture that was just taken may move what is under the mouse.
  // And what follows may be said anew between the two, with another button: it is pressed again, and what was sent twice is done once.
  const pressed = async (button) => {
    for (let nth = 1; nth <= 3; nth++) {
      const led = page.waitForNavigation({ timeout: 10_000 }).then(() => true, () => false);
      await page.focus(button);
      await page.keyboard.press("Enter");
      if (await led) return;
    }
    throw new Error(`${button} leads nowhere`);
  };
  await go(page, "/rules/change");
  await page.type("#f-formula", "available - nothing");
  await until(page, "what is wrong with a formula", () => /nothing/.test(document.getElementById("wrong-formula").textContent));
  for (let left = "nothing".length; left > 0; left--) await page.keyboard.press("Backspace");
  await page.keyboard.type("1");
  // Not what an earlier letter made of it: one less of each.
  await until(page, "what a formula would show", () => {
    const rows = [...document.querySelectorAll(".follows tbody tr")];
    const number = (cell) => Number(cell.textContent.replaceAll(",", ""));
    return rows.length > 1 && rows.every(({ cells }) => number(cells[3]) < number(cells[2])) && document.querySelector(".follows [name=save]");
  });
  const typing = await page.evaluate(() => ({ text: document.getElementById("f-formula").value, focus: document.activeElement?.id }));
  if (typing.text !== "available - 1" || typing.focus !== "f-formula") fail("/rules/change", `a swap loses what somebody types: ${JSON.stringify(typing)}`);
  if ((await read("wrong-formula")) !== "" || !/numbers? would change/.test(await read("told"))) fail("/rules/change", `says ${await read("told")}`);
  await looked(page, "rule-typed", 1280, "light");
  await pressed(".follows [name=save]");
  const saved = /done=(\d+)/.exec(page.url())?.[1];
  if (!saved || !(await page.content()).includes("Shows available - 1.")) fail("/rules", `a rule is not saved: ${page.url()}`);
  await go(page, `/rules/${saved}/end`);
  await pressed("main button.danger");
  if ((await page.content()).includes("Shows available - 1.")) fail("/rules", "a rule does not end");
  await go(page, "/ownership/change");
  await page.select("#f-master", "Berlin");
  await until(page, "which stock is handed over", () => /master/.test(document.getElementById("told").textContent) && document.querySelector("[aria-label='Stock that changes its master'] tbody tr"));

  // Many are marked by keys, and changed as was said first.
  await go(page, "/stock");
  await page.focus("[data-keys]");
  for (const key of ["j", "x", "j", "x", "j", "k"]) await page.keyboard.press(key);
  const marked = await page.$$eval("tbody input[name=i]:checked", (all) => all.map((input) => input.value));
  const stood = await page.evaluate(() => [...document.querySelectorAll("tbody tr")].findIndex((row) => row.contains(document.activeElement)));
  if (marked.length !== 2 || stood !== 1) fail("/stock", `keys mark ${JSON.stringify(marked)} and stand at ${stood}`);
  await pressed("#many button");
  await page.type("#f-add", "by-hand");
  await until(page, "what would change", () => /2 of 2 items would change/.test(document.getElementById("told").textContent) && document.querySelector(".follows [name=save]"));
  if ((await page.evaluate(() => document.activeElement?.id)) !== "f-add") fail("/stock/edit", "a swap loses the focus");
  await pressed(".follows [name=save]");
  for (const sku of marked) {
    const { tags } = await api(`/items/${encodeURIComponent(sku)}`);
    if (!tags.includes("by-hand")) fail("/stock/edit", `${sku} has the tags ${tags}`);
  }
  await go(page, "/discrepancies");
  if (await page.$("[data-keys] tbody tr")) {
    await page.focus("[data-keys]");
    for (const key of ["x", "a"]) await page.keyboard.press(key);
    const at = await page.evaluate(() => document.activeElement?.getAttribute("name"));
    if (at !== "proposal" && (await page.$("#many"))) fail("/discrepancies", `keys lead to ${at}`);
    if ((await page.$$("tbody input[name=id]:checked")).length !== 1) fail("/discrepancies", "keys mark nothing");
  }

  // A search answers while it is typed, and its address is a link to it.
  await go(page, "/stock");
  await page.type("#q", sku.slice(0, 3).toLowerCase());
  await until(page, "an address of the search", (q) => location.search.includes(`q=${q}`), sku.slice(0, 3).toLowerCase());
  const found = await page.evaluate(() => ({ rows: document.querySelectorAll("tbody tr").length, focus: document.activeElement?.id }));
  if (found.rows < 1 || found.focus !== "q") fail("/stock", `a search: ${JSON.stringify(found)}`);
  await page.goBack();
  await until(page, "all is back", () => !location.search.includes("q=") && document.querySelectorAll("tbody tr").length > 1);

  // Without script everything is there too.
  const plain = await browser.newPage();
  await plain.setJavaScriptEnabled(false);
  await go(plain, `/stock?q=${encodeURIComponent(sku)}`);
  if (!(await plain.content()).includes(sku)) fail("/stock", "without script the search finds nothing");
  return { pages: Object.keys(pages).length, live_ms: took };
});
