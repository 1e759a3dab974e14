// Clicks through the demo page. Usage: node demo.mjs CHROMIUM ORIGIN FOLDER. What it needs of the operator it asks for
// with a line of JSON, {"curl": ".."}, and goes on with the next line of standard input. Pictures go into FOLDER.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { start } from '../e2e/chromium.mjs';

const [chromium, origin, folder] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { browser, close } = await start(chromium);
const window = { width: 1360, height: 820 };
const context = await browser.newContext({ viewport: window, deviceScaleFactor: 1.5, colorScheme: 'light' });
context.setDefaultTimeout(60000); // of one step; a machine that does much else is slow
const page = await context.newPage();
const faults = [];
page.on('pageerror', (error) => faults.push(String(error)));

const phone = (name) => page.locator(`#${name}`);
const is = (name, fields) => {
  const wanted = Object.entries(fields).map(([key, value]) => `[data-${key}="${value}"]`);
  return page.waitForSelector(`#${name}${wanted.join('')}`);
};
const sees = (name, kind, text) => phone(name).locator(`.log .${kind}`, { hasText: text }).first().waitFor();
const texts = (name, kind) => phone(name).locator(`.log .${kind} p`).allTextContents();
async function says(name, text) {
  await phone(name).locator('.say input').fill(text);
  await phone(name).locator('.say .send').click();
}
async function push(to, text) {
  await page.locator('#sendto .to label', { hasText: to }).click();
  await page.locator('#body').fill(text);
  await page.locator('#sendto .primary').click();
}

try {
  await page.goto(origin);
  for (const name of ['ada', 'ben']) await is(name, { state: 'online', other: 'online' });
  assert.equal(await phone('ada').locator('.transport').textContent(), 'WebSocket');

  await says('ada', 'The new build is live. Did yours update?');
  await sees('ben', 'theirs', 'The new build is live.');
  await phone('ada').locator('.mine:not(.waiting)').waitFor();
  await phone('ben').locator('.say input').pressSequentially('Ju');
  await phone('ada').locator('.doing.typing').waitFor();
  await says('ben', 'Just did. It even came back by itself in the tunnel.');
  await sees('ada', 'theirs', 'Just did.');

  // The backend, by the form and by the line of curl beside it.
  await push('Ada', "Ada's parcel is at the door");
  await sees('ada', 'push', "Ada's parcel is at the door");
  await page.locator('#answer', { hasText: '"state":"delivered"' }).waitFor();
  await page.locator('#body').fill("It's by curl now");
  process.stdout.write(`${JSON.stringify({ curl: await page.locator('#curl').textContent() })}\n`);
  await lines.next();
  await sees('ada', 'push', "It's by curl now");

  // A line that is cut, and what is said meanwhile.
  await page.locator('#ben-wire .cut').click();
  await page.waitForSelector('#ben:not([data-state="online"])');
  await is('ada', { other: 'offline' });
  await says('ada', 'Lunch at one?');
  await push('Both', 'Table for two, 13:00');
  await says('ben', 'On my way');
  await phone('ben').locator('.mine.waiting', { hasText: 'On my way' }).waitFor();
  await sees('ada', 'push', 'Table for two');
  await page.locator('#answer', { hasText: '"state":"stored"' }).waitFor();
  await page.screenshot({ path: `${folder}/demo.png` });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: `${folder}/demo-dark.png` });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.locator('#ben-wire .cut').click();
  await is('ben', { state: 'online' });
  await sees('ben', 'push', 'Table for two');
  await sees('ada', 'theirs', 'On my way');
  await phone('ben').locator('.notice.good', { hasText: /Back after \d+ s: 2 caught up .*none missing/ }).waitFor();
  await is('ada', { other: 'online' });
  assert.deepEqual((await texts('ben', 'theirs')).slice(1), ['Lunch at one?']);

  // WebSockets that do not get through.
  await page.locator('#ada-wire .switch input').uncheck();
  await phone('ada').locator('.transport', { hasText: 'long polling' }).waitFor();
  await says('ada', 'By long polling');
  await sees('ben', 'theirs', 'By long polling');
  await page.locator('#ada-wire .switch input').check();
  await phone('ada').locator('.transport', { hasText: 'WebSocket' }).waitFor();

  // Many at once, to one whose line is cut in the middle of them.
  await push('Both', 'Go');
  await page.locator('#burst').click();
  await sees('ada', 'push', '(5 of 25)');
  await page.locator('#ada-wire .cut').click();
  await sees('ben', 'push', '(25 of 25)');
  await page.locator('#ada-wire .cut').click();
  await sees('ada', 'push', '(25 of 25)');
  const burst = Array.from({ length: 25 }, (_, n) => `Go (${n + 1} of 25)`);
  for (const name of ['ada', 'ben']) assert.deepEqual((await texts(name, 'push')).slice(-25), burst);

  // A reload goes on with the same two, and with what they have said.
  const said = await texts('ada', 'push');
  await page.reload();
  for (const name of ['ada', 'ben']) await is(name, { state: 'online', other: 'online' });
  assert.deepEqual(await texts('ada', 'push'), said);
  await says('ben', 'Still here');
  await sees('ada', 'theirs', 'Still here');

  // Everything that can be used has a name, and a narrow window needs no scrolling sideways.
  const nameless = await page.locator('button, input').evaluateAll((all) =>
    all.filter((e) => !(e.ariaLabel || e.title || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML));
  assert.deepEqual(nameless, []);
  for (const width of [390, 900]) {
    await page.setViewportSize({ width, height: 844 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${width} wide: ${over} too wide`);
    await page.screenshot({ path: `${folder}/demo-${width}.png`, fullPage: true });
  }
  assert.deepEqual(faults, []);
} catch (error) {
  await page.screenshot({ path: `${folder}/demo-failed.png` });
  throw error;
} finally {
  await close();
}
process.exit(0);
