// herald.js, the browser client of Herald: what it promises stands in ../herald.d.ts and ../README.md.

import { client } from './client.js';
import { realWorld } from './world.js';

export { HeraldError } from './error.js';

/** Connects a user; see herald.d.ts. */
export function connect(options) {
  return client(realWorld(options), { ...options, url: address(options.url) });
}

// Where the server is: as it was said, else where this module came from, else where the page did.
function address(said) {
  const ours = /^https?:[^?]*\/herald\.js/.test(import.meta.url);
  const url = new URL(said ?? '/herald', ours ? import.meta.url : globalThis.location?.href);
  return url.href.replace(/^ws/, 'http');
}
