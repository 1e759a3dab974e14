// A user in a browser: Converse.js, as npm has it, on a page in Chromium, without its looks.
// Usage: node converse.mjs CHROMIUM
//
// The page is of another origin than the server. The same commands and events as for browser.mjs, where there are:
//
// Commands: login {service, jid, password}, prebind {service, jid, backend}, logout, send {to, prefix, count},
//           talk {to, prefix, count, lead}, hurry {times}, open {jid}, stored {from}
// Events:   ready, online {jid}, offline, message {from, body} as it comes into Converse's store,
//           opened, stored {bodies} of all that is in the store, in its order, fault {text}
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './chromium.mjs';
import { obey, tell } from './lines.mjs';

const DIST = fileURLToPath(new URL('./node_modules/converse.js/dist/', import.meta.url));
const TYPES = { '.js': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm', '.css': 'text/css' };
let backend = null; // asks Herald's operator's API for a session that is logged in already

const site = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/') return response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><body>');
  if (pathname === '/prebind') return prebind(response);
  const file = normalize(join(DIST, pathname));
  const body = file.startsWith(DIST) && (await readFile(file).catch(() => null));
  if (!body) return response.writeHead(404).end();
  return response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(body);
});
await new Promise((listening) => site.listen(0, '127.0.0.1', listening));
const { browser, close } = await start(process.argv[2]);
const page = await browser.newPage();
page.on('pageerror', (error) => tell('fault', { text: String(error) }));
await page.exposeFunction('tell', tell);
await page.goto(`http://127.0.0.1:${site.address().port}/`);
await page.evaluate(prepare);
tell('ready');

const act = (command) => page.evaluate((c) => globalThis.user[c.do](c), command);
await obey({
  ...Object.fromEntries(['login', 'logout', 'send', 'talk', 'hurry', 'open', 'stored'].map((name) => [name, act])),
  async prebind(command) {
    backend = command.backend;
    await act(command);
  },
});
await close();
process.exit(0);

// What a site's own backend does for a visitor whom it knows: the page never sees a password.
async function prebind(response) {
  const { url, token, uid } = backend;
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ uid, resource: 'web' }) });
  response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(await answer.text());
}

// Runs in the page.
async function prepare() {
  const setTimeoutHere = globalThis.setTimeout;
  const { default: converse } = await import('/converse.min.js');
  let api;
  let talk = { heard: 0, said: 0, count: 0, lead: 0 };
  let saying = Promise.resolve(); // one after the other: Converse thinks about each for a while

  converse.plugins.add('herald-test', {
    initialize() {
      api = this._converse.api;
      // What `statusInitialized` follows is the presence that we send; the session is up then.
      api.listen.on('statusInitialized', () => globalThis.tell('online', { jid: api.connection.get().jid }));
      api.listen.on('disconnected', () => globalThis.tell('offline'));
      // It would hide a session that was lost.
      api.listen.on('will-reconnect', () => globalThis.tell('fault', { text: 'Converse reconnects' }));
      api.listen.on('chatBoxInitialized', (chat) => chat.messages.on('add', onMessage));
    },
  });

  globalThis.user = {
    login: ({ service, jid, password }) => initialize({ bosh_service_url: service, jid, password }),
    prebind: ({ service, jid }) => initialize({
      bosh_service_url: service, jid, authentication: 'prebind', prebind_url: '/prebind',
    }),
    logout: () => api.user.logout(),
    send({ to, prefix, count }) {
      for (let n = 0; n < count; n += 1) say(to, `${prefix}${n}`);
    },
    /** As in strophe.mjs. */
    talk({ to, prefix, count, lead }) {
      talk = { ...talk, to, prefix, count, lead };
      goOnTalking();
    },
    hurry({ times }) {
      globalThis.setTimeout = (then, ms, ...rest) => setTimeoutHere(then, ms / times, ...rest);
    },
    /**
     * Opens a conversation. Converse does that by itself when a message comes, and what comes in the same moment as the
     * first is put before it: each is handled by itself, and the first waits until the conversation is there.
     */
    async open({ jid }) {
      await api.chats.get(jid.split('/')[0], {}, true);
      globalThis.tell('opened');
    },
    async stored({ from }) {
      const chat = await api.chats.get(from.split('/')[0]);
      const theirs = chat.messages.filter((m) => m.get('sender') === 'them' && m.get('body'));
      globalThis.tell('stored', { bodies: theirs.map((m) => m.get('body')) });
    },
  };

  function initialize(settings) {
    converse.initialize({
      auto_login: true, auto_insert: false, assets_path: location.origin, discover_connection_methods: false, i18n: 'en',
      loglevel: 'error', whitelisted_plugins: ['herald-test'], ...settings,
    });
  }

  function say(to, body) {
    saying = saying.then(async () => {
      const chat = await api.chats.get(to.split('/')[0], {}, true);
      await chat.sendMessage({ body });
    }).catch((error) => globalThis.tell('fault', { text: String(error) }));
  }

  function onMessage(message) {
    if (message.get('sender') !== 'them' || !message.get('body')) return;
    globalThis.tell('message', { from: message.get('from'), body: message.get('body') });
    talk.heard += 1;
    goOnTalking();
  }

  function goOnTalking() {
    for (; talk.said < Math.min(talk.count, talk.heard + talk.lead); talk.said += 1) {
      say(talk.to, `${talk.prefix}${talk.said}`);
    }
  }
}
