// The pages of docs/login.md in Chromium. Usage: node pages.mjs CHROMIUM SERVICE ADMIN TOKEN SECRET
//
// SERVICE is the BOSH URL, ADMIN the operator's API and TOKEN its token; JWTs are signed with the file SECRET.
// Each piece of JavaScript in the document is run on a page of its own, against a backend of its own, with
// nothing changed but the URL of the service. Says `PAGE N ONLINE` when the user is online then.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { start } from '../e2e/chromium.mjs';

const [chromium, service, admin, token, secret] = process.argv.slice(2);
const root = new URL('../../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root));
const code = [...read('docs/login.md').toString().matchAll(/```js\n(.*?)```/gs)].map(([, text]) => text);

// What a page is given beside its code: the libraries, as they are published.
const HEAD = {
  strophe: '<script src="/examples/web-chat/node_modules/strophe.js/dist/strophe.umd.min.js"></script>',
  converse: `<link rel="stylesheet" href="/tests/e2e/node_modules/converse.js/dist/converse.min.css">
             <script type="module" src="/tests/e2e/node_modules/converse.js/dist/converse.min.js"></script>`,
};
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' };

/** Asks the operator's API. */
async function ask(method, path, body) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${admin}${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function jwt(uid) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: uid, exp: Math.floor(Date.now() / 1000) + 60 };
  const message = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${message}.${createHmac('sha256', readFileSync(secret)).update(message).digest('base64url')}`;
}

// The backend of the pages: it knows who its user is.
const uid = 'alice';
const jid = `${uid}@localhost`;
const backend = {
  '/chat-token': () => ask('POST', '/api/v1/token', { uid }),
  '/chat-credentials': async () => ({ jid, password: (await ask('POST', '/api/v1/token', { uid })).token }),
  '/chat-session': () => ask('POST', '/api/v1/prebind', { uid }),
  '/chat-jwt': () => ({ jid, jwt: jwt(uid) }),
  '/chat-jwt-credentials': () => ({ jid, password: jwt(uid) }),
};
const site = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://site').pathname;
  try {
    if (backend[path]) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(await backend[path]()));
    } else if (/^\/\d+$/.test(path)) {
      const text = code[Number(path.slice(1))].replaceAll('https://chat.example.com/http-bind', service);
      const head = HEAD[/converse\./.test(text) ? 'converse' : 'strophe'];
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><meta charset="utf-8">${head}<body><script type="module">${text}</script>`);
    } else {
      const body = read(`.${path}`);
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
      response.end(body);
    }
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
await new Promise((done) => { site.listen(0, '127.0.0.1', done); });

const { browser, close } = await start(chromium);
for (const n of code.keys()) {
  const context = await browser.newContext(); // nothing is left of the page before
  const page = await context.newPage();
  page.on('pageerror', (error) => console.log(`PAGE ${n} FAULT ${error}`));
  await page.goto(`http://127.0.0.1:${site.address().port}/${n}`);
  while (!(await ask('GET', `/api/v1/presence?uid=${uid}`)).results[0].online);
  console.log(`PAGE ${n} ONLINE`);
  await context.close();
  await ask('POST', '/api/v1/kick', { uid });
  while ((await ask('GET', `/api/v1/sessions?uid=${uid}`)).sessions.length > 0);
}
console.log(`DONE ${code.length}`);
await close();
process.exit(0);
