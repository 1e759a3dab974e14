// A user in a browser: Strophe.js on a page in Chromium. Usage: node browser.mjs CHROMIUM [PAGE-URL]
//
// Without a PAGE-URL the page is served beside the web chat, on a port of its own: the server is another
// origin then. What the commands do stands in strophe.mjs.
//
// Commands: login {service, jid, password, options}, manage {service, jid, password}, logout, subscribe {to}, approve {to},
//           send {to, prefix, count}, talk {to, prefix, count, lead}, kill,
//           hurry {times}, throttle {ms}, session, attach {service, jid, sid, rid, options, fresh},
//           restore {service, jid, options}, reload, age {requests}, pause {secs}, protocols {path}, streams {path}
// Events:   ready, online {jid}, offline {condition}, presence {from, type}, message {from, body},
//           session {jid, sid, rid}, restored {jid}, reloaded, paused {body}, protocols {protocols},
//           streams {requests, connections, together}, fault {text}
import { fileURLToPath } from 'node:url';
import { serve } from '../../examples/web-chat/server.mjs';
import { start } from './chromium.mjs';
import { obey, tell } from './lines.mjs';
import { prepare } from './strophe.mjs';

// The page is served beside the web chat, for its Strophe.js.
const FOLDER = fileURLToPath(new URL('../../examples/web-chat/', import.meta.url));
const [chromium, url = await ownSite()] = process.argv.slice(2);
const { browser, kill, close } = await start(chromium);
// A certificate made for the test is trusted; nothing else is different over https.
const context = await browser.newContext({ ignoreHTTPSErrors: true });
const page = await context.newPage();
page.on('pageerror', (error) => tell('fault', { text: String(error) }));
await page.exposeFunction('tell', tell);
const streams = await watch(page);
await page.goto(url);
await page.evaluate(prepare);
tell('ready');

const inPage = ['login', 'manage', 'logout', 'subscribe', 'approve', 'send', 'talk', 'hurry', 'throttle', 'session', 'attach',
  'restore', 'age', 'pause', 'protocols'];
const act = (command) => page.evaluate((c) => globalThis.user[c.do](c), command);
await obey({
  ...Object.fromEntries(inPage.map((name) => [name, act])),
  async reload() {
    await page.reload();
    await page.evaluate(prepare);
    tell('reloaded');
  },
  /** Of the requests for this path: on how many connections they went, and how many at a time. */
  streams: ({ path }) => tell('streams', streams(path)),
  kill,
});
await close();
process.exit(0);

async function ownSite() {
  const site = await serve(FOLDER, 0);
  return `http://127.0.0.1:${site.address().port}/`;
}

// Keeps what the browser says of its requests.
async function watch(watched) {
  const cdp = await context.newCDPSession(watched);
  const requests = new Map();
  cdp.on('Network.requestWillBeSent', ({ requestId, request, type }) => {
    if (type !== 'Preflight') requests.set(requestId, { path: new URL(request.url).pathname, at: requests.size });
  });
  cdp.on('Network.responseReceived', ({ requestId, response }) => {
    const request = requests.get(requestId);
    if (request) Object.assign(request, { connection: response.connectionId, protocol: response.protocol });
  });
  const open = new Set();
  const most = new Map();
  cdp.on('Network.requestWillBeSent', ({ requestId, request }) => {
    const { pathname } = new URL(request.url);
    open.add(requestId);
    const together = [...open].filter((id) => requests.get(id)?.path === pathname).length;
    most.set(pathname, Math.max(most.get(pathname) ?? 0, together));
  });
  for (const end of ['Network.loadingFinished', 'Network.loadingFailed']) {
    cdp.on(end, ({ requestId }) => open.delete(requestId));
  }
  await cdp.send('Network.enable');
  return (path) => {
    const answered = [...requests.values()].filter((r) => r.path === path && r.connection !== undefined);
    return {
      requests: answered.length,
      connections: new Set(answered.map((r) => r.connection)).size,
      protocols: [...new Set(answered.map((r) => r.protocol))],
      together: most.get(path) ?? 0,
    };
  };
}
