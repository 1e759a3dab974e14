// herald.js in Chromium, on a page of another origin than the server. Usage: node browser.mjs CHROMIUM ORIGIN
// Commands: those of user.mjs, and reload, freeze {on}, offline {on}.
// Events: those of user.mjs, and ready, reloaded, frozen {on}, fault {text}.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { start } from '../e2e/chromium.mjs';
import { obey, tell } from '../e2e/lines.mjs';
import { prepare } from './user.mjs';

const [chromium, origin] = process.argv.slice(2);
const { browser, close } = await start(chromium);
const context = await browser.newContext();
const page = await context.newPage();
page.on('pageerror', (error) => tell('fault', { text: String(error) }));
// The page itself is there whatever becomes of the server: what is under test is what it does then.
const script = readFileSync(new URL('../../client/dist/herald.js', import.meta.url), 'utf8');
const files = { '/': ['text/html', '<!doctype html><title>A page</title>'], '/herald.js': ['text/javascript', script] };
const site = createServer(({ url }, response) => {
  const [type, text] = files[url] ?? ['text/plain', ''];
  response.writeHead(200, { 'Content-Type': type }).end(text);
}).listen(0, '127.0.0.1');
await once(site, 'listening');
await page.exposeFunction('tell', tell);
const load = async () => {
  await page.evaluate(async ([source, url]) => {
    const { connect } = await import('/herald.js');
    const make = new Function(`return ${source}`)();
    globalThis.user = make(connect, (event, fields) => globalThis.tell(event, fields), url);
  }, [prepare.toString(), `${origin}/herald`]);
};
await page.goto(`http://127.0.0.1:${site.address().port}/`);
await load();
const devtools = await context.newCDPSession(page);
tell('ready');

const names = ['connect', 'reach', 'report', 'history', 'typing', 'presence', 'subscribe', 'accept', 'close'];
const act = (command) => page.evaluate((c) => globalThis.user[c.do](c), command);
await obey({
  ...Object.fromEntries(names.map((name) => [name, act])),
  // It takes as long as it takes; a reload in between ends it, and what it has said is sent by the next page.
  send: (command) => void act(command).catch(() => {}),
  async reload() {
    await page.reload();
    await load();
    tell('reloaded');
  },
  async freeze({ on }) {
    await devtools.send('Page.setWebLifecycleState', { state: on ? 'frozen' : 'active' });
    tell('frozen', { on });
  },
  async offline({ on }) {
    await context.setOffline(on);
  },
});
await close();
process.exit(0);
