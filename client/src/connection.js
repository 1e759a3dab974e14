// Keeps one user connected, whatever carries it at the moment.
//
// `link` is the link in use, `next` one on which we have said hello and are not answered yet. A new link takes the
// place of the old one when it is ready; what comes twice by that is known by its number. A link that is lost, or one
// that never got ready, leads to the next attempt: WebSocket, then long polling, then a pause.

import { HeraldError, unreachable } from './error.js';
import { longPoll } from './longpoll.js';
import { timers } from './timers.js';
import { webSocket } from './websocket.js';

const PAUSE_MS = 500; // full jitter: between nothing and this, doubled with each failure in a row
const PAUSE_MS_MAX = 20000;
const HELLO_MS = { websocket: 5000, longpoll: 15000 };
const STABLE_MS = 5000; // a link that lived so long was a good one
const SHORT_LIVES_MAX = 3; // WebSockets in a row that were none
const BLOCKED_MS = 10000; // until WebSockets are tried again, doubled with each failure
const BLOCKED_MS_MAX = 1800000;
const TICK_MS = 5000;
const PONG_MS = 8000;

/**
 * `told` hears `_state(state, error, retryInMs)`, `_ready(frame, link)`, `_frame(frame)`, `_tooLarge(error)` and
 * `_leave()`, and is asked for the `_hello(token)`.
 */
export function connection(world, kept, options, told) {
  const { url, token, transports = ['websocket', 'longpoll'] } = options;
  const { _set: set, _cancel: cancel, _has: has, _clear: clear } = timers(world);
  let link = null;
  let next = null;
  let kind; // of the last link
  let state = 'connecting';
  let attempt; // a newer one calls an older one off
  let ways; // still to be tried in this attempt
  let blocked; // a WebSocket failed in this attempt
  let usesTicket;
  let failures = 0;
  let refused = 0;
  let shortLives = 0;
  let pingMs;

  const be = (now, error = null, retryInMs = null) => {
    state = now;
    told._state(now, error, retryInMs);
  };
  const end = (error) => {
    if (state === 'closed') return;
    attempt = null;
    clear();
    unwatch();
    next?._close();
    link?._close(true);
    next = link = null;
    be('closed', error);
  };

  // ---------------------------------------------------------------- attempts

  const connect = async (way) => {
    if (state === 'closed' || next) return;
    const mine = (attempt = {});
    if (!link) be('connecting');
    // A ticket, as long as there is one; else what the page gives us.
    const { ticket, expires } = kept._place;
    usesTicket = ticket && !(Date.parse(expires) <= world._now());
    let secret = ticket;
    try {
      if (!usesTicket) secret = typeof token === 'function' ? await token() : token;
    } catch (e) {
      if (attempt !== mine) return;
      const error = new HeraldError('token', String(e?.message ?? e), e?.retry !== false);
      return error.retry ? retry(error) : end(error);
    }
    if (attempt !== mine) return;
    if (typeof secret !== 'string') return end(new HeraldError('unauthorized', 'there is no token'));
    ways = way ? [way] : waysNow();
    blocked = false;
    open(secret);
  };
  const connectSoon = (ms) => set('attempt', ms, connect);
  const open = (secret) => {
    const way = ways.shift();
    if (!way) return end(new HeraldError('invalid', 'there is no transport to try'));
    const mine = (way === 'longpoll' ? longPoll : webSocket)(world, url, {
      _open: () => mine._send(told._hello(secret)),
      _frame: (frame) => heard(mine, frame),
      _down: (error) => down(mine, error),
    });
    mine._secret = secret;
    next = mine;
    set('hello', HELLO_MS[way], () => fail(mine, 'no answer to the hello'));
  };
  const fail = (which, detail) => {
    which._close();
    down(which, unreachable(detail));
  };
  const down = (which, error) => {
    const isWebSocket = which._kind === 'websocket';
    if (which === next) {
      next = null;
      cancel('hello');
      const silent = error.code === 'network'; // else the server itself has spoken
      if (silent && isWebSocket) blocked = true;
      if (silent && ways[0]) open(which._secret);
      else if (!link) retry(error);
      else if (blocked) block(); // that was about a better one; this one goes on
    } else if (which === link) {
      link = null;
      cancel('tick', 'pong');
      const stable = world._now() - which._since >= STABLE_MS;
      if (stable) failures = 0;
      shortLives = isWebSocket && !stable ? shortLives + 1 : 0;
      // They open, and do not last: something on the way does not like them.
      if (shortLives >= SHORT_LIVES_MAX) block();
      // Else the next one is on its way; it may be what ended this one.
      if (!next) retry(error);
    }
  };
  const retry = (error) => {
    const jitter = world._random() * Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** failures);
    failures += 1;
    // When the browser says that there is no network it may be wrong.
    const pause = world._isOffline() ? PAUSE_MS_MAX : (error._after ?? 0) * 1000 + jitter;
    connectSoon(pause);
    be('offline', error, Math.round(pause));
  };

  // ---------------------------------------------------------------- which way

  const waysNow = () => {
    const all = transports.filter((way) => way !== 'websocket' || world._WebSocket);
    return kept._blocked.until > world._now() ? all.reverse() : all;
  };
  const block = () => {
    const times = kept._blocked.times + 1;
    kept._block(world._now() + Math.min(BLOCKED_MS_MAX, (BLOCKED_MS / 2) * 2 ** times), times);
    shortLives = 0;
    blocked = false;
  };

  // ---------------------------------------------------------------- what the server says

  const heard = (which, frame) => {
    if (which !== link && which !== next) return;
    which._heard = world._now();
    cancel('pong');
    if (frame.t === 'close' || (which === next && frame.t === 'error')) closed(which, frame);
    else if (which === link) told._frame(frame);
    else if (frame.t === 'ready') ready(frame);
  };
  const ready = (frame) => {
    const old = link;
    link = next;
    next = null;
    cancel('hello', 'attempt');
    old?._close(true);
    link._since = world._now();
    refused = 0;
    pingMs = (frame.ping_secs ?? 25) * 1000;
    if (link._kind === 'websocket') kept._block(0, 0);
    else if (blocked) block();
    tickSoon();
    told._ready(frame, link);
    if (state !== 'online' || kind !== link._kind) {
      kind = link._kind;
      be('online');
    }
  };
  const closed = (which, { code, detail, retry: again, retry_after_secs: after }) => {
    const error = new HeraldError(code, detail, again);
    error._after = after;
    if (code === 'unauthorized') {
      // A ticket may end before its time, with another password. Then the page is asked; twice, if it can be asked.
      if (!usesTicket && (typeof token !== 'function' || refused++)) return end(error);
      error.retry = true;
      kept._at({ ticket: undefined });
    } else if (code === 'conflict') {
      // Somebody took our resource: ourselves, or one that came from the same place, when we did not insist on it.
      error.retry ||= !options.resource || !!next;
      if (!next) kept._resource = null;
    } else if (code === 'too_large' && which === link && told._tooLarge(error)) error.retry = true;
    if (!error.retry) return end(error);
    which._close();
    down(which, error);
  };

  // ---------------------------------------------------------------- is it alive?

  const tickSoon = () => {
    const due = world._now() + TICK_MS;
    set('tick', TICK_MS, () => {
      const now = world._now();
      tickSoon();
      const ws = link._kind === 'websocket';
      const { until, times } = kept._blocked;
      const expires = Date.parse(kept._place.expires);
      // A timer that comes much too late: the machine slept, or the tab did.
      if (now - due > TICK_MS || (ws && now - link._heard >= pingMs)) probe();
      else if (!ws && times && now >= until && waysNow()[0] === 'websocket') connect('websocket');
      // A ticket is good for a while; the next one comes with another hello.
      else if (expires - now < (expires - link._since) / 4) connect(link._kind);
    });
  };
  // Asks the server whether it is there; silence is an answer.
  const probe = (again) => {
    if (!link || has('pong')) return;
    const asked = link;
    const due = world._now() + PONG_MS;
    asked._send({ t: 'ping' });
    set('pong', PONG_MS, () => {
      // We slept while we waited: what came meanwhile stands behind this. Once; timers of hidden tabs are always late.
      if (world._now() - due > PONG_MS && !again) probe(true);
      else fail(asked, 'the server is silent');
    });
  };
  const unwatch = world._watch((news) => {
    if (news === 'leave') {
      told._leave();
      // Else the server would take us for present until it misses the next request.
      if (link?._kind === 'longpoll') link._close(true);
      return;
    }
    if (news === 'online') kept._block(0, kept._blocked.times);
    if (news === 'back') {
      kept._leave();
      if (link) return fail(link, 'the page was put aside');
    }
    if (link) return probe();
    if (news === 'offline' || state === 'closed') return;
    failures = 0;
    if (news !== 'wake' && next) {
      next._close();
      next = null;
      cancel('hello');
    } else if (!has('attempt')) return;
    connectSoon(0);
  });

  // Whoever called has now the time to say what it wants to hear.
  connectSoon(0);
  return {
    get _link() {
      return link;
    },
    get _state() {
      return state;
    },
    get _transport() {
      return state === 'online' ? kind : null;
    },
    _end: end,
  };
}
