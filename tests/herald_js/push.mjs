// The snippets of docs/push.md, run as they stand there. Usage: node push.mjs CHROMIUM HTTP ADMIN TOKEN FOLDER
// The backend runs in this process, in FOLDER; the page in Chromium. Only addresses are put in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { start } from '../e2e/chromium.mjs';

const [chromium, http, admin, token, folder] = process.argv.slice(2);
const document = readFileSync(new URL('../../docs/push.md', import.meta.url), 'utf8');
const put = (text) => text.replaceAll('http://localhost:5280', http).replaceAll('http://127.0.0.1:5281', admin);
const snippets = [...document.matchAll(/```(\w+)(?: (\S+))?\n([^]*?)```/g)].map(([, language, name, text]) => ({
  language, name, text: put(text),
}));
const [server, html, sh] = ['server.mjs', 'page.html', undefined].map((name) => snippets.find((s) => s.name === name));
const inPage = snippets.filter(({ name }) => name === 'page');
const inBackend = snippets.filter(({ name }) => name === 'backend');
assert.deepEqual([inPage.length, inBackend.length, snippets.length], [3, 2, 8]);

for (const { name, text } of [server, html]) writeFileSync(`${folder}/${name}`, text);
Object.assign(process.env, { HERALD_ADMIN: admin, HERALD_TOKEN: token, PORT: '0' });
process.chdir(folder);
const ready = new Promise((resolve) => {
  const { log } = console;
  console.log = (line) => {
    console.log = log;
    resolve(line);
  };
});
const { ask } = await import(pathToFileURL(`${folder}/server.mjs`));
const site = await ready;

const { browser, close } = await start(chromium);
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60000); // of one step; a machine that does much else is slow
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(`fault: ${error}`));
  const shows = (text) => page.waitForFunction((t) => globalThis.document.body.innerText.includes(t), text).catch(() => {
    throw new Error(`the page does not show ${text}; it said ${said.join('\n')}`);
  });
  await page.goto(site);
  await shows('online websocket');

  const answer = execFileSync('sh', ['-c', sh.text], { env: { ...process.env, token }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  assert.equal(JSON.parse(answer).results[0].state, 'delivered', answer);
  await shows('Your parcel is at the door');

  const AsyncFunction = (async () => {}).constructor;
  const last = (text) => text.match(/const \{ (\w+)/)[1];
  const backend = ({ text }) => new AsyncFunction('ask', `${text}; return ${last(text)};`)(ask);
  const evaluated = ({ text }) => page.evaluate(`(async () => { ${text}; return ${text.includes('const {') ? last(text) : 'null'}; })()`);

  const [history, people, lunch] = inPage;
  const items = await evaluated(history);
  assert.deepEqual(items.map(({ body }) => body), ['Your parcel is at the door']);
  assert.deepEqual((await backend(inBackend[0])).map(({ id, body }) => [id, body]), items.map(({ id, body }) => [id, body]));

  await ask('/api/v1/token', { uid: 'bob', create: true });
  const online = await backend(inBackend[1]);
  assert.deepEqual(online.map(({ uid, online: on }) => [uid, on]), [['alice', true], ['bob', false]]);

  await evaluated(people);
  const results = await evaluated(lunch);
  assert.deepEqual(results.map(({ uid, state }) => [uid, state]), [['bob', 'stored']]);
  const { items: bobs } = await ask('/api/v1/history?uid=bob');
  assert.deepEqual(bobs.map(({ body, json }) => [body, json]), [['Lunch?', { at: '13:00' }]]);

  // A reload goes on: nothing comes twice, and the ticket opens.
  await page.reload();
  await shows('online websocket');
  await ask('/api/v1/sendto', { to: 'alice', body: 'After the reload', store: 'always' });
  await shows('After the reload');
  assert.equal(await page.locator('#messages li').count(), 1);
  assert.deepEqual(said.filter((line) => line.startsWith('fault')), []);
} finally {
  await close();
}
process.exit(0);
