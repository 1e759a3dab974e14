// The web chat example as a person uses it: clicks and keys in Chromium. Usage: node webchat.mjs CHROMIUM BOSH-URL WS-URL
//
// Commands: login {user, password, transport}, logout, add {user}, accept {jid}, see {jid, state},
//           say {jid, body}, read {jid, body}, notice {body}, screenshot {path, width, height}
// Events:   ready, done {do} once the page shows it, fault {text}
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { start } from './chromium.mjs';
import { obey, tell } from './lines.mjs';

const [chromium, bosh, ws] = process.argv.slice(2);
const site = spawn('node', [fileURLToPath(new URL('../../examples/web-chat/server.mjs', import.meta.url)), '0']);
const [printed] = await once(site.stdout, 'data');
const { browser, close } = await start(chromium);
const page = await browser.newPage();
page.on('pageerror', (error) => tell('fault', { text: String(error) }));
await page.goto(`${String(printed).trim()}?${new URLSearchParams({ bosh, ws })}`);
tell('ready');

const row = (jid) => page.locator(`#contacts [data-jid="${jid}"]`);
const commands = {
  async login({ user, password, transport }) {
    await page.getByLabel('User').fill(user);
    await page.getByLabel('Password').fill(password);
    await page.locator(`#login [value="${transport}"]`).check();
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.locator('#connection[data-state="online"]').waitFor();
  },
  async logout() {
    await page.setViewportSize({ width: 1100, height: 720 }); // a phone shows the button in the list only
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.locator('#login-page').waitFor();
  },
  async add({ user }) {
    await page.getByLabel('Add a contact').fill(user);
    await page.getByRole('button', { name: 'Add', exact: true }).click();
  },
  accept: ({ jid }) => page.locator('#requests li', { hasText: jid }).getByRole('button', { name: 'Accept' }).click(),
  see: ({ jid, state }) => page.locator(`#contacts [data-jid="${jid}"][data-state="${state}"]`).waitFor(),
  async say({ jid, body }) {
    await row(jid).click();
    await page.getByLabel('Message', { exact: true }).fill(body);
    await page.keyboard.press('Enter');
    await page.locator('.message.mine', { hasText: body }).waitFor();
  },
  async read({ jid, body }) {
    await row(jid).click();
    await page.locator('.message:not(.mine)', { hasText: body }).waitFor();
  },
  notice: ({ body }) => page.locator('.toast', { hasText: body }).waitFor(),
  async screenshot({ path, width, height }) {
    await page.setViewportSize({ width, height });
    await page.screenshot({ path, animations: 'disabled' });
  },
};
for (const [name, act] of Object.entries(commands)) {
  commands[name] = async (command) => {
    await act(command);
    tell('done', { do: name });
  };
}
await obey(commands);
await close();
site.kill();
process.exit(0);
