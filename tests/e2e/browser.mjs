// A user in a browser: Strophe.js on a page in Chromium. Usage: node browser.mjs CHROMIUM
//
// Commands: login {service, jid, password}, logout, subscribe {to}, approve {to},
//           send {to, prefix, count}, kill
// Events:   ready, online {jid}, offline {condition}, presence {from, type}, message {from, body}, fault {text}
import { fileURLToPath } from 'node:url';
import { serve } from '../../examples/web-chat/server.mjs';
import { start } from './chromium.mjs';
import { obey, tell } from './lines.mjs';

// The page is served beside the web chat, for its Strophe.js.
const FOLDER = fileURLToPath(new URL('../../examples/web-chat/', import.meta.url));
const site = await serve(FOLDER, 0);
const { browser, kill, close } = await start(process.argv[2]);
const page = await browser.newPage();
page.on('pageerror', (error) => tell('fault', { text: String(error) }));
await page.exposeFunction('tell', tell);
await page.goto(`http://127.0.0.1:${site.address().port}/`);
await page.evaluate(prepare);
tell('ready');

await obey({
  login: (command) => page.evaluate((c) => globalThis.user.login(c), command),
  logout: () => page.evaluate(() => globalThis.user.logout()),
  subscribe: ({ to }) => page.evaluate((jid) => globalThis.user.presence(jid, 'subscribe'), to),
  approve: ({ to }) => page.evaluate((jid) => globalThis.user.presence(jid, 'subscribed'), to),
  send: (command) => page.evaluate((c) => globalThis.user.send(c), command),
  kill,
});
await close();
process.exit(0);

// Runs in the page.
async function prepare() {
  const { Strophe, $iq, $msg, $pres } = await import('./node_modules/strophe.js/dist/strophe.esm.js');
  const words = Object.fromEntries(Object.entries(Strophe.Status).map(([word, status]) => [status, word]));
  let connection;
  globalThis.user = {
    login({ service, jid, password }) {
      connection = new Strophe.Connection(service);
      connection.connect(jid, password, (status, condition) => {
        const word = words[status];
        if (word === 'CONNECTED') begin();
        if (word === 'DISCONNECTED') globalThis.tell('offline', { condition });
        if (word.endsWith('FAIL') || word === 'ERROR') globalThis.tell('fault', { text: `${word} ${condition}` });
      });
    },
    logout: () => connection.disconnect('bye'),
    presence: (to, type) => connection.send($pres({ to, type })),
    send({ to, prefix, count }) {
      for (let n = 0; n < count; n += 1) {
        connection.send($msg({ to, type: 'chat', id: `${prefix}${n}` }).c('body').t(`${prefix}${n}`));
      }
    },
  };

  function begin() {
    connection.addHandler(onPresence, null, 'presence');
    connection.addHandler(onMessage, null, 'message');
    // Only who has asked for the roster is told what becomes of subscriptions (RFC 6121, 3.1.6).
    const roster = $iq({ type: 'get' }).c('query', { xmlns: 'jabber:iq:roster' });
    connection.sendIQ(roster, () => connection.send($pres()));
  }

  function onPresence(stanza) {
    const from = stanza.getAttribute('from');
    const type = stanza.getAttribute('type') ?? 'available';
    // Our own presence comes back (RFC 6121, 4.2.2): now the server has it.
    if (from === connection.jid && type === 'available') globalThis.tell('online', { jid: from });
    else globalThis.tell('presence', { from, type });
    return true;
  }

  function onMessage(stanza) {
    const body = stanza.getElementsByTagName('body')[0]?.textContent ?? null;
    const type = stanza.getAttribute('type') ?? 'normal';
    globalThis.tell('message', { from: stanza.getAttribute('from'), type, body });
    return true;
  }
}
