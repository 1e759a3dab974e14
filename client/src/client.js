// What a page has of Herald: events, messages, who is online. `connection.js` keeps it connected.

import { connection } from './connection.js';
import { HeraldError } from './error.js';
import { kept as memory } from './kept.js';
import { outbox as newOutbox } from './outbox.js';
import { people as newPeople } from './people.js';
import { timers } from './timers.js';

const SETTLE_MS = 5000; // the presence of all contacts is there by then
const ACK_MS = 1000;
const ACK_COUNT = 64;
const TYPING_MS = 4000; // "composing" is said again after this, or ends
const AGAIN_MS = 500; // before what the server could not do is asked again; twice that, with jitter, at most
const LATER_MAX = 100; // of what is said while there is no connection and needs no answer

/** Connects a user of `world`; see herald.d.ts for what comes back. */
export function client(world, options) {
  const { uid, token, resource, since, url } = options;
  if (typeof uid !== 'string' || !/string|function/.test(typeof token)) throw new TypeError('connect needs a uid and a token');
  const kept = memory(world, url, uid);
  const place = kept._place;
  const listeners = new Map();
  const typing = new Map();
  const { _set: set, _cancel: cancel, _has: has, _clear: clear } = timers(world);
  let { presence = {} } = options;
  let later = [];
  let unacked = 0;
  let bound;

  const emit = (event, value) => {
    for (const listener of [...(listeners.get(event) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        // The page's fault: the page shall hear of it, and the connection goes on.
        world._after(0, () => {
          throw error;
        });
      }
    }
  };
  const outbox = newOutbox(world, kept._unsent, () => kept._keep(outbox._kept));
  const people = newPeople((heard) => emit('presence', heard));

  // ---------------------------------------------------------------- what the connection tells

  const ready = (frame, link) => {
    const { epoch, last, ticket, ticket_expires: expires } = frame;
    // Numbers of another epoch, or beyond the newest, say nothing; the server tells of the gap.
    const reset = place.since > last || (place.epoch && place.epoch !== epoch);
    const from = reset ? (frame.since ?? 0) : (place.since ?? frame.since ?? last);
    kept._at({ since: from, epoch, ticket, expires });
    me.jid = frame.jid;
    bound = kept._resource = frame.resource;
    people._doubt();
    set('settle', SETTLE_MS, people._settle);
    later.forEach(link._send);
    later = [];
    outbox._flush(link);
  };
  const changed = (state, error, retryInMs) => {
    if (state !== 'online') cancel('settle', 'again', 'ack');
    if (state === 'closed') {
      clear();
      kept._flush();
      outbox._end(error ?? new HeraldError('closed', 'close() was called'));
    }
    if (error && (state === 'closed' || error.code === 'token')) emit('error', error);
    emit('state', { state, transport: me.transport, error, retryInMs });
  };
  const heard = ({ t, ...frame }) => {
    if (t === 'message') message(frame);
    else if (t === 'presence') people._heard(frame);
    else if (t === 'subscription') emit(t, frame);
    else if (t === 'gap') gap(frame);
    else if (t === 'error') failed(frame);
    else if (t === 'sent' && frame.results.some(({ state }) => state === 'failed')) {
      failed({ ref: frame.ref, code: 'failed', detail: 'not all could be kept', retry: true });
    } else if (frame.ref) {
      if (outbox._answer(frame) && t === 'sent') emit(t, frame);
      flush();
    }
  };
  const message = (frame) => {
    const { id, at, body, json, payload, state, from, uid: who } = frame;
    if (id) {
      if (id <= place.since) return;
      kept._at({ since: id });
      // An answer to a long poll is acknowledged by the next one.
      if (net._transport === 'websocket') unacked += 1;
      if (unacked >= ACK_COUNT) ack();
      else if (unacked && !has('ack')) set('ack', ACK_MS, ack);
    }
    frame.at ??= new Date(world._now()).toISOString();
    if (state) emit('typing', { uid: who, from, state });
    if (id || !state || (body ?? json ?? payload) !== undefined) emit('message', frame);
  };
  const gap = ({ after, before, epoch }) => {
    const to = before ? before - 1 : 0;
    if (epoch) kept._at({ epoch, since: to });
    else if (to > place.since) kept._at({ since: to });
    emit('gap', { after, before, reason: epoch ? 'reset' : 'retention' });
  };
  const failed = ({ ref, code, detail, retry }) => {
    const error = new HeraldError(code, detail, retry, ref);
    // What bounced was sent: the promise was kept, and whose word it is nobody knows.
    if (code !== 'bounced' && outbox._refuse(error)) set('again', AGAIN_MS * (1 + world._random()), flush);
    else emit('error', error);
    flush();
  };
  const tooLarge = ({ code, detail }) => {
    const error = new HeraldError(code, detail);
    const known = outbox._refuseLargest(error);
    if (known) emit('error', error);
    return known;
  };

  // ---------------------------------------------------------------- saying things

  const say = (frame) => {
    const link = net._link;
    link?._send(frame);
    return !!link;
  };
  const sayOrLater = (frame) => {
    if (!say(frame) && later.length < LATER_MAX) later.push(frame);
  };
  const flush = () => {
    if (net._link && !has('again')) outbox._flush(net._link);
  };
  // Says what wants an answer, until it is there.
  const ask = (frame, keep) => {
    const answer =
      me.state === 'closed' ? Promise.reject(new HeraldError('closed', 'the connection was closed')) : outbox._add(frame, keep);
    flush();
    const read = answer.then(({ t, ...said }) => said);
    read.catch(() => {}); // whoever does not wait for it is told by the event
    read.ref = answer.ref;
    return read;
  };
  const ack = () => {
    cancel('ack');
    if (unacked) say({ t: 'ack', id: place.since });
    unacked = 0;
  };
  const stopTyping = (to, state) => {
    cancel(`typing ${to}`);
    if (typing.delete(to) && state) say({ t: 'send', to, state });
  };

  // ---------------------------------------------------------------- what pages call

  const me = {
    uid,
    jid: null,
    get state() {
      return net._state;
    },
    get transport() {
      return net._transport;
    },
    get lastId() {
      return place.since ?? null;
    },
    get epoch() {
      return place.epoch ?? null;
    },
    get unsent() {
      return outbox._kept();
    },
    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listener);
      return () => me.off(event, listener);
    },
    off(event, listener) {
      listeners.get(event)?.delete(listener);
    },
    send(to, what) {
      const { kind, body, json, state } = typeof what === 'string' ? { body: what } : what;
      for (const each of [to].flat()) stopTyping(each);
      return ask({ t: 'send', to, kind, body, json, state }, true);
    },
    history: ({ since, before, limit, reverse } = {}) => ask({ t: 'history', since, before, limit, reverse }),
    subscribe: (to) => sayOrLater({ t: 'subscribe', to }),
    accept: (to) => sayOrLater({ t: 'accept', to }),
    unsubscribe: (to) => sayOrLater({ t: 'unsubscribe', to }),
    setPresence(now) {
      presence = now;
      // One that is not there yet is told in the hello.
      say({ t: 'presence', ...now });
    },
    typing(to, on = true) {
      if (!on) return stopTyping(to, 'paused');
      const now = world._now();
      if (!(now - typing.get(to) < TYPING_MS)) {
        typing.set(to, now);
        say({ t: 'send', to, state: 'composing' });
      }
      set(`typing ${to}`, TYPING_MS, () => stopTyping(to, 'paused'));
    },
    isOnline: people._has,
    online: people._all,
    close({ forget } = {}) {
      ack();
      net._end(null);
      if (forget) kept._forget();
    },
  };
  const net = connection(world, kept, options, {
    _hello: (secret) => ({
      t: 'hello',
      uid,
      token: secret,
      since: place.since,
      epoch: place.epoch,
      resource: resource ?? kept._resource ?? undefined,
      presence,
    }),
    _ready: ready,
    _frame: heard,
    _state: changed,
    _tooLarge: tooLarge,
    _leave() {
      ack();
      kept._leave(bound);
    },
  });
  if (since !== undefined) kept._at({ since });
  return me;
}
