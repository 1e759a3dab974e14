// iComet's client in Chromium: node browser.mjs CHROMIUM SCRIPTS.. Commands and events are JSON, one on a line; see
// browser.rs.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { start } from '../e2e/chromium.mjs';
import { obey, tell } from '../e2e/lines.mjs';

const [chromium, ...scripts] = process.argv.slice(2);
const sources = scripts.map((script) => readFileSync(script, 'utf8'));

// The page is of another origin than the server, as with iComet, which serves no pages.
const page = ({ eventSource }) => `<!doctype html><meta charset="utf-8"><title>comet</title>
${eventSource ? '' : '<script>delete window.EventSource</script>'}
${sources.map((_, at) => `<script src="/${at}.js"></script>`).join('\n')}`;
let asked = {};
const pages = createServer((request, response) => {
  const script = /^\/(\d+)\.js$/.exec(request.url);
  response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
  response.end(script ? sources[Number(script[1])] : page(asked));
});
await new Promise((listening) => pages.listen(0, '127.0.0.1', listening));
const home = `http://localhost:${pages.address().port}/`;
const { browser, close } = await start(chromium);
tell('ready');

let tab;
await obey({
  /** Subscribes with iComet's client: { channel, sub, sign, eventSource }. */
  async open(command) {
    asked = command;
    tab = await browser.newPage();
    tab.on('dialog', (dialog) => { tell('alert', { text: dialog.message() }); dialog.dismiss(); });
    await tab.exposeFunction('told', (content, type) => tell('message', { content, type }));
    await tab.goto(home);
    await tab.evaluate(({ channel, sub, sign }) => {
      window.comet = new iComet({ channel, subUrl: sub, signUrl: sign, callback: (content, type) => window.told(content, type) });
    }, command);
    tell('open');
  },
  /** A plain EventSource: { url }. Tells each event with its id, and each error. */
  async events({ url }) {
    asked = { eventSource: true };
    tab = await browser.newPage();
    await tab.exposeFunction('heard', (data, id) => tell('event', { ...JSON.parse(data), id }));
    await tab.goto(home);
    await tab.evaluate((url) => {
      window.source = new EventSource(url);
      window.source.onmessage = (e) => window.heard(e.data, e.lastEventId);
    }, url);
    tell('open');
  },
  /** A forever-iframe: { url }. */
  async iframe({ url }) {
    tab = await browser.newPage();
    await tab.exposeFunction('framed', (message) => tell('message', message));
    // Of the same origin: browsers do not let pages of two ports meet by document.domain any more.
    const beside = new URL('/page', url).href;
    await tab.route(beside, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>page</title>' }));
    await tab.goto(beside);
    await tab.evaluate((url) => {
      window.icomet_cb = (message) => window.framed(message);
      const frame = document.createElement('iframe');
      frame.src = url;
      document.body.append(frame);
    }, url);
    tell('open');
  },
});
await close();
pages.close();
