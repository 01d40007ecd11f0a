// Clicks through every page of two running services in headless Chromium, as a person would, and looks at what is there.
// node browse.js --cfs PATH [--shots DIR]     Needs Debian's chromium, python3 (for SQL), and `npm ci` in this directory.
import { chromium } from "playwright-core";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import assert from "node:assert/strict";

const arg = (name, other) => { const i = process.argv.indexOf(name); return i < 0 ? other : process.argv[i + 1]; };
const cfs = resolve(arg("--cfs", "target/debug/cfs"));
const shots = arg("--shots");
if (shots) mkdirSync(shots, { recursive: true });
const dir = mkdtempSync(join(tmpdir(), "cfs-page-"));
const demo = join(dir, "demo");
const say = (text) => console.log(text);
const run = (site, ...args) => execFileSync(cfs, ["--config", join(demo, site, "cfs.toml"), ...args], { encoding: "utf8" });
const sql = (site, text) => execFileSync("python3", ["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],timeout=20); c.execute('PRAGMA foreign_keys=ON'); print(*[r[0] for r in c.execute(sys.argv[2])]); c.commit()", join(demo, site, "clinic.db"), text], { encoding: "utf8" }).trim();
const pages = ["", "logs", "logs/1", "find", "conflicts", "held", "matches", "matches/alike", "deletions", "trash", "sites", "settings"];
const services = [];
let browser;
let failed = true;
try {
  execFileSync(cfs, ["demo", demo], { stdio: "ignore" });
  for (const site of ["north", "south"]) services.push(spawn(cfs, ["--config", join(demo, site, "cfs.toml"), "run"], { stdio: "ignore" }));
  const address = async (site) => {
    for (let i = 0; ; i++) {
      try { return run(site, "open", "--print").trim(); } catch (e) { if (i > 100) throw e; await new Promise((r) => setTimeout(r, 100)); }
    }
  };
  browser = await chromium.launch({ executablePath: arg("--chromium", "/usr/bin/chromium"), args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--in-process-gpu", "--disable-quic", "--no-first-run"] });
  const complaints = [];
  const open = async (site, options) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    const page = await context.newPage();
    page.on("console", (m) => { if (m.type() === "error") complaints.push(`${page.url()}: ${m.text()}`); });
    page.on("pageerror", (e) => complaints.push(`${page.url()}: ${e.message}`));
    page.on("request", (r) => { if (!/^http:\/\/127\.0\.0\.1:/.test(r.url())) complaints.push(`asked for ${r.url()}`); });
    await page.goto(await address(site));
    return { page, at: new URL(page.url()).origin };
  };
  const text = (page) => page.locator("main").innerText();
  const until = async (what, done) => {
    for (let i = 0; !(await done()); i++) { assert.ok(i < 300, `waited in vain: ${what}`); await new Promise((r) => setTimeout(r, 100)); }
  };

  // The overview loads itself anew after each synchronization that changed something: those of the start come first.
  const runs = () => ["north", "south"].map((site) => JSON.parse(run(site, "status", "--json")).service?.runs ?? 0).join();
  for (const site of ["north", "south"]) await address(site);
  let before;
  await until("both services are at rest", async () => {
    before = runs();
    await new Promise((r) => setTimeout(r, 1500));
    return !/\b0\b/.test(before) && runs() === before;
  });

  // Every page, on a desk, on a telephone, in the dark.
  for (const [name, options] of [["", {}], ["phone-", { viewport: { width: 390, height: 844 } }], ["dark-", { colorScheme: "dark" }]]) {
    const { page, at } = await open("north", options);
    for (const path of pages) {
      await page.goto(`${at}/${path}`);
      const seen = await page.evaluate(() => ({
        over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        h1: document.querySelectorAll("h1").length,
        unnamed: [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a")].filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent?.trim())).map((e) => e.outerHTML),
        ids: [...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i),
        current: document.querySelectorAll("nav [aria-current=page]").length,
        // On a telephone a table is a pile of cards: nothing of it is out of sight.
        aside: innerWidth > 640 ? [] : [...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText.slice(0, 40)),
        touching: [...document.querySelectorAll("main button")].filter((b) => b.nextElementSibling?.tagName === "BUTTON" && b.nextElementSibling.getBoundingClientRect().left - b.getBoundingClientRect().right < 8 && b.nextElementSibling.getBoundingClientRect().top === b.getBoundingClientRect().top).length,
      }));
      assert.deepEqual(seen, { over: 0, h1: 1, unnamed: [], ids: [], current: 1, aside: [], touching: 0 }, `${name}${path}`);
      if (shots && ((name === "" && ["", "logs", "conflicts", "settings"].includes(path)) || (name === "phone-" && ["", "conflicts", "logs/1", "sites"].includes(path)) || (name === "dark-" && path === "conflicts"))) {
        // Nobody need know where this runs.
        if (path === "settings") await page.getByLabel("Sync folder").evaluate((e) => { e.value = "/home/north/Dropbox/Clinic"; });
        await page.screenshot({ path: join(shots, `${name}${(path || "overview").replace("/", "-")}.png`) });
      }
    }
    await page.context().close();
  }
  say(`${pages.length} pages, wide, narrow and dark: nothing overflows, everything has a name`);

  const { page, at } = await open("north");
  // With the keyboard alone.
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
  for (let i = 0; i < 20 && (await page.evaluate(() => document.activeElement.id)) !== "sync-now"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await until("it says that it synchronized", async () => /Last synchronized/.test(await text(page)));
  say("Sync Now, with the keyboard");

  // News of the other site come by themselves.
  sql("south", "UPDATE patient SET phone = '555 4242' WHERE last_name = 'Brackenridge'");
  await until("news come", async () => /1 record received/.test(await text(page)));
  assert.equal(sql("north", "SELECT phone FROM patient WHERE last_name = 'Brackenridge'"), "555 4242");
  await page.goto(`${at}/logs`);
  await page.locator("ol.runs a").first().click();
  assert.match(await text(page), /555 4242[\s\S]*South/);
  await page.locator("section.about a").first().click();
  assert.match(await text(page), /History/);
  assert.match(page.url(), /\/record\/[0-9a-f-]{36}$/);
  if (shots) await page.screenshot({ path: join(shots, "record.png") });
  say("a change at the other site: in the overview, in the log, in the record");

  await page.goto(`${at}/logs`);
  await page.getByLabel("Table").selectOption("patient");
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(await text(page), /555 4242/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export as CSV" }).click()]);
  assert.equal(download.suggestedFilename(), "cfs-log.csv");
  say("the log is searched and exported");

  await page.goto(`${at}/logs`);
  await page.getByRole("link", { name: "Find a chart by name" }).click();
  await page.getByLabel("Name or number").fill("hollow");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: /Hollowell/ }).click();
  assert.match(await text(page), /History/);
  await page.goBack();
  assert.match(await text(page), /Hollowell/);
  assert.doesNotMatch(page.url(), /hollow/i);
  if (shots) await page.screenshot({ path: join(shots, "find.png") });
  say("a chart is found by name, and the way back leads there");

  sql("north", "UPDATE patient SET phone = '555 0303', last_name = 'Hollowell' WHERE last_name IN ('Hollowell', 'Vexley')");
  run("north", "sync");
  await page.goto(`${at}/matches`);
  await page.getByRole("link", { name: /Look for others/ }).click();
  await page.getByRole("button", { name: "One person" }).first().click();
  assert.match(await text(page), /One chart now/);
  await page.getByRole("link", { name: "Back to the matches" }).click();
  await page.getByText("Take apart …").click();
  if (shots) await page.screenshot({ path: join(shots, "matches.png") });
  await page.getByRole("button", { name: "Take apart" }).click();
  assert.match(await text(page), /Two charts again/);
  assert.equal(sql("north", "SELECT count(*) FROM patient WHERE last_name = 'Hollowell'"), "2");
  sql("north", "UPDATE patient SET last_name = 'Vexley' WHERE first_name = 'Tobiah'");
  run("north", "sync");
  await until("the other site has it", () => sql("south", "SELECT count(*) FROM patient WHERE last_name = 'Vexley'") === "1");
  say("two who look alike are matched, and taken apart");

  await page.goto(`${at}/conflicts`);
  const other = await page.locator(".side").nth(1).locator(".text").innerText();
  await page.getByText("What happened to this field").click();
  await page.getByRole("button", { name: "Use this" }).first().click();
  assert.match(await text(page), /Decided/);
  assert.equal(sql("north", `SELECT count(*) FROM patient WHERE phone = '${other}'`), "1");
  await until("the other site has it", () => sql("south", `SELECT count(*) FROM patient WHERE phone = '${other}'`) === "1");
  say("a conflict is decided, at both sites");

  // Two clicks in a row decide one: the next stands under the pointer by then.
  sql("north", "UPDATE patient SET address = 'North ' || id");
  sql("south", "UPDATE patient SET address = 'South ' || id");
  const waiting = () => JSON.parse(run("north", "conflicts", "--json")).conflicts.length;
  await until("conflicts", async () => waiting() >= 4);
  await until("both are at rest", async () => { const n = waiting(); await new Promise((r) => setTimeout(r, 1500)); return waiting() === n; });
  await page.goto(`${at}/conflicts?said=kept`);
  await new Promise((r) => setTimeout(r, 1000));
  for (const pause of [60, 150, 250, 350, 500]) {
    const several = waiting();
    const spot = await page.getByRole("button", { name: /^Keep this/ }).first().boundingBox();
    for (const wait of [pause, 1500]) {
      await page.mouse.click(spot.x + 5, spot.y + 5);
      await new Promise((r) => setTimeout(r, wait));
    }
    await until("one is decided", async () => waiting() < several);
    await new Promise((r) => setTimeout(r, 500));
    assert.equal(waiting(), several - 1, `${pause} ms`);
  }
  say("a double click decides one");

  await page.goto(`${at}/settings`);
  await page.getByLabel(/every … minutes/).fill("7");
  await page.getByLabel(/stays away here/).check();
  await page.getByRole("button", { name: "Save" }).click();
  assert.match(await text(page), /Saved/);
  // The synchronization that this starts may end before the page listens.
  await until("it says no longer that it synchronizes", async () => !/Synchronizing/.test(await page.locator("#live-text").innerText()) && (await page.locator("#sync-now").isEnabled()));
  sql("north", "DELETE FROM patient WHERE last_name = 'Brackenridge'");
  await page.goto(`${at}/deletions`);
  await until("the deletion waits", async () => { await page.reload(); return /Delete at every site/.test(await text(page)); });
  if (shots) await page.screenshot({ path: join(shots, "deletions.png") });
  assert.equal(await page.getByRole("button", { name: "Delete at every site" }).isVisible(), false, "not with one slip of the finger");
  await page.getByText("Delete at every site …").click();
  await page.getByRole("button", { name: "Delete at every site" }).click();
  assert.match(await text(page), /Deleted, here and at the other sites/);
  await until("it is deleted there", () => sql("south", "SELECT count(*) FROM patient WHERE last_name = 'Brackenridge'") === "0");
  await page.goto(`${at}/trash`);
  if (shots) await page.screenshot({ path: join(shots, "trash.png") });
  await page.locator("section", { hasText: "Brackenridge" }).getByRole("button", { name: "Restore" }).click();
  assert.match(await text(page), /Restored/);
  await until("it is back there", () => sql("south", "SELECT count(*) FROM patient WHERE last_name = 'Brackenridge'") === "1");
  say("settings are saved; a deletion is confirmed, and taken back from the trash");

  // One number for two people: each database takes it once.
  sql("north", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Hollowell'");
  sql("south", "UPDATE patient SET national_id = '9999999' WHERE last_name = 'Vexley'");
  await until("a chart is held", async () => { await page.goto(`${at}/held`); return /the same national_id/.test(await text(page)); });
  assert.doesNotMatch(await text(page), /UNIQUE/);
  if (shots) for (const path of ["held", "sites"]) {
    await page.goto(`${at}/${path}`);
    await page.screenshot({ path: join(shots, `${path}.png`) });
  }
  const phone = await open("north", { viewport: { width: 390, height: 844 } });
  await phone.page.goto(`${phone.at}/logs?table=patient`);
  assert.deepEqual(await phone.page.evaluate(() => [...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth).length), 0);
  if (shots) await phone.page.screenshot({ path: join(shots, "phone-log.png") });
  await phone.page.goto(`${phone.at}/sites`);
  await phone.page.getByText("Retire …").click();
  const retire = await phone.page.getByRole("button", { name: "Retire South" }).boundingBox();
  assert.ok(retire.x >= 0 && retire.x + retire.width <= 390, JSON.stringify(retire));
  await phone.page.context().close();
  say("a held chart in plain words; on a telephone a site can be retired");

  // Without JavaScript.
  const plain = await open("south", { javaScriptEnabled: false });
  await plain.page.getByRole("button", { name: "Sync Now" }).click();
  assert.match(await text(plain.page), /Last synchronized/);
  await plain.page.goto(`${plain.at}/sites`);
  await plain.page.getByText("Retire …").click();
  await plain.page.getByRole("button", { name: "Retire North" }).click();
  assert.match(await text(plain.page), /North \(retired\)/);
  await plain.page.getByRole("button", { name: "Take back" }).click();
  assert.match(await text(plain.page), /in use again/);
  say("without JavaScript: Sync Now; a site is retired and taken back");

  assert.deepEqual(complaints, [], "the browser complains");

  // Another service answers on the same port: it does not know this browser.
  const port = new URL(at).port;
  await page.goto(`${at}/settings`);
  const ended = new Promise((r) => services[0].once("exit", r));
  services[0].kill();
  await ended;
  services[0] = spawn(cfs, ["--config", join(demo, "north", "cfs.toml"), "run", "--port", port], { stdio: "ignore" });
  await address("north");
  await until("the button can be pressed", () => page.locator("#sync-now").isEnabled());
  await page.locator("#sync-now").click();
  await until("it says that it is not known", async () => /no longer known to the service/.test(await page.locator("#live-text").innerText()));
  assert.ok(await page.locator("#sync-now").isEnabled());
  say("after a restart of the service, Sync Now says what to do");
  failed = false;
  say("the page: all well");
} finally {
  await browser?.close();
  for (const s of services) s.kill();
  if (failed) say(`left to look at: ${dir}`);
  else rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}
