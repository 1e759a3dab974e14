// Starts headless Chromium in a process group of its own, so that a test can kill it for good.
import { chromium } from 'playwright-core';

// As root there is no sandbox; the rest keeps the browser from talking to hosts of its maker.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** A browser from `executablePath`: `{ browser, kill, close }`. */
export async function start(executablePath) {
  const server = await chromium.launchServer({ executablePath, args: FLAGS });
  const browser = await chromium.connect(server.wsEndpoint());
  return {
    browser,
    /** SIGKILL for the browser and all its helpers: nobody gets to say good-bye. */
    kill: () => process.kill(-server.process().pid, 'SIGKILL'),
    close: () => server.close(),
  };
}
