// What wants an answer: messages, which are kept over reloads, and questions, which are not. An entry stays until its
// answer is there and goes out again, under the same `ref`, on every new link; the server carries it out once.

import { HeraldError } from './error.js';

const WINDOW = 64; // unanswered at a time
const ENTRIES_MAX = 1000;
const TRIES = 6; // of one entry, when the server says that it may be tried again

/** `frames` are those of an earlier page. `changed` is called when what is to be kept changes. */
export function outbox(world, frames, changed) {
  const entries = frames.map((frame) => ({ _frame: frame, _keep: true }));
  const base = [1, 2, 3, 4].map(() => Math.floor(world._random() * 2 ** 24).toString(36)).join('');
  let count = 0;
  const find = (ref) => entries.find((entry) => entry._frame.ref === ref);
  const take = (entry) => {
    entries.splice(entries.indexOf(entry), 1);
    if (entry._keep) changed();
  };
  const refuse = (entry, error) => {
    take(entry);
    entry._reject?.(error);
  };
  return {
    /** A new entry; the promise of its answer, with its `ref`. */
    _add(frame, keep) {
      const ref = `${base}-${(count += 1)}`;
      const entry = { _frame: { ...frame, ref }, _keep: keep };
      const answer = new Promise((resolve, reject) => {
        entry._resolve = resolve;
        entry._reject = reject;
      });
      answer.ref = ref;
      if (entries.length >= ENTRIES_MAX) entry._reject(new HeraldError('full', 'too much is unsent', true, ref));
      else {
        entries.push(entry);
        if (keep) changed();
      }
      return answer;
    },
    /** Frames to keep over a reload. */
    _kept: () => entries.filter((entry) => entry._keep).map((entry) => entry._frame),
    /** Sends what this link has not been given yet, as far as the window allows. */
    _flush(link) {
      for (const entry of entries.slice(0, WINDOW)) {
        if (entry._link === link) continue;
        entry._link = link;
        link._send(entry._frame);
      }
    },
    /** The answer is there; false when nobody waits for it, as when it came twice. */
    _answer(frame) {
      const entry = find(frame.ref);
      if (!entry) return false;
      take(entry);
      entry._resolve?.(frame);
      return true;
    },
    /** The server refused one. True: all of them, in their order, are to be sent again after a pause. */
    _refuse(error) {
      const entry = find(error.ref);
      if (!entry) return false;
      entry._tries = (entry._tries ?? 0) + 1;
      const again = error.retry && entry._tries < TRIES;
      if (again) for (const each of entries) each._link = null;
      else refuse(entry, error);
      return again;
    },
    /** The server found a frame too large and did not say which: the largest it was sent. */
    _refuseLargest(error) {
      const size = (entry) => JSON.stringify(entry._frame).length;
      const [largest] = entries.filter((entry) => entry._link).sort((a, b) => size(b) - size(a));
      if (!largest) return false;
      error.ref = largest._frame.ref;
      refuse(largest, error);
      return true;
    },
    /** The client ends. What is kept is not forgotten, but nobody waits for it any more. */
    _end: (error) => entries.forEach((entry) => entry._reject?.(error)),
  };
}
