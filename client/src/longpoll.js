// A herald.v1 session over plain requests. One post is held by the server until there is something to say; when the
// client has something to say itself it posts a second one, at which the server answers the first.
//
// Posts are numbered (`seq`) and answers are (`n`): a post whose answer was lost is posted again and gets the same
// answer, and answers that overtake each other are put in order.

import { unreachable } from './error.js';

const WAIT_SECS = 25;
const FRAMES_MAX = 64; // in one post
const BYTES_MAX = 48000; // in one post, about
const TRIES = 3; // of one post
const GRACE_MS = 10000; // beyond the time for which the server may hold it

/** Opens one; as `webSocket` does. */
export function longPoll(world, url, told) {
  const queue = [];
  const early = new Map();
  const posts = new Set();
  let over = false;
  let sid = null;
  let seq = 0;
  let had = 0;

  const end = () => {
    over = true;
    for (const post of posts) post.abort();
  };
  const request = (body, more) =>
    // Plain text needs no preflight from another origin.
    world._fetch(url, { method: 'POST', headers: { 'Content-Type': 'text/plain;charset=UTF-8' }, body, ...more });
  const next = (wait) => {
    let count = 0;
    for (let bytes = 0; count < queue.length && count < FRAMES_MAX; count += 1) {
      bytes += queue[count].length;
      if (count && bytes > BYTES_MAX) break;
    }
    seq += 1;
    return `{"sid":${JSON.stringify(sid)},"ack":${had},"wait":${wait},"seq":${seq},"frames":[${queue.splice(0, count)}]}`;
  };
  const pump = () => {
    // Before there is a session, nothing overtakes the hello.
    if (over || posts.size > 1 || (!queue.length && (!sid || posts.size)) || (!sid && posts.size)) return;
    const wait = sid ? WAIT_SECS : 0;
    post(next(wait), wait, 1);
  };
  const post = async (body, wait, attempt) => {
    const abort = new AbortController();
    posts.add(abort);
    const cancel = world._after(wait * 1000 + GRACE_MS, () => abort.abort());
    let answer;
    let error;
    try {
      const response = await request(body, { signal: abort.signal });
      if (response.ok) answer = await response.json();
      else {
        error = unreachable(`HTTP ${response.status}`);
        error._after = response.headers.get('retry-after');
      }
    } catch (e) {
      error = unreachable(e);
    }
    cancel();
    if (over) return;
    if (answer) {
      posts.delete(abort);
      read(answer);
      pump();
    } else if (sid && attempt < TRIES && !error._after) {
      world._after(world._random() * 500 * attempt, () => {
        posts.delete(abort);
        if (!over) post(body, wait, attempt + 1);
      });
    } else {
      end();
      told._down(error);
    }
  };
  const read = ({ sid: mine, n, frames }) => {
    sid ??= mine;
    const tell = (frame) => over || told._frame(frame);
    // What has no number is not of the session: it is none, or over.
    if (!n) frames.forEach(tell);
    if (n > had) early.set(n, frames);
    for (; early.has(had + 1); early.delete(had)) {
      had += 1;
      early.get(had).forEach(tell);
    }
  };

  world._after(0, () => over || told._open());
  return {
    _kind: 'longpoll',
    _send(frame) {
      queue.push(JSON.stringify(frame));
      // What is said in one go goes in one post.
      if (!queue[1]) world._after(0, pump);
    },
    /** Ends it. A `bye` may go before, from a dying page too. */
    _close(bye) {
      if (over) return;
      end();
      if (!bye || !sid) return;
      queue.push('{"t":"bye"}');
      request(next(0), { keepalive: true }).catch(() => {}); // the session ends by itself
    },
  };
}
