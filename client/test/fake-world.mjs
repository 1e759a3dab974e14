// A world for the client: the clock and dice of the test, a network that can fail in every way, storage, and a page
// that sleeps, leaves and comes back.
import { client } from '../src/client.js';
import { dice } from './clock.mjs';
import { Polls } from './fake-server.mjs';

export const URL = 'http://test/herald';

export class FakeWorld {
  constructor(clock, server, seed = 1) {
    this.clock = clock;
    this.server = server;
    this.polls = new Polls(server, clock);
    this.random = dice(seed);
    this.tab = new FakeStorage();
    this.all = new FakeStorage();
    this.sockets = new Set();
    this.requests = new Set();
    this.watchers = new Set();
    this.webSockets = 'open'; // 'refused' or 'hang'
    this.offline = false;
    this.hidden = false;
    this.hole = false; // nothing passes, and nobody is told
    this.lossy = 0; // of posts, how many of 1 get lost, there or back
    this.opened = { websocket: 0, longpoll: 0 };
  }

  /** What the client of the next page is given. */
  get world() {
    const { clock } = this;
    const page = (this.page = { lives: true });
    return {
      _now: () => clock.now,
      _random: this.random,
      _after: (ms, act) => clock.after(this.hidden ? inAMinute(clock.now + ms) - clock.now : ms, () => page.lives && act()),
      _WebSocket: this.webSockets === 'none' ? undefined : socketOf(this),
      _fetch: (url, init) => (page.lives || init.keepalive ? this.fetch(url, init) : new Promise(() => {})),
      _storage: this.tab,
      _memory: this.all,
      _isOffline: () => this.offline,
      _watch: (tell) => {
        this.watchers.add(tell);
        return () => this.watchers.delete(tell);
      },
    };
  }

  connect(options = {}) {
    return client(this.world, { uid: 'alice', token: 'secret', url: URL, ...options });
  }

  news(news) {
    for (const tell of [...this.watchers]) tell(news);
  }

  /** The tab ends: with a good-bye, or without. The next `connect` is the page after it. */
  unload(goodBye) {
    if (goodBye) this.news('leave');
    this.watchers.clear();
    this.page.lives = false;
    for (const socket of [...this.sockets]) socket.lose(1001);
    for (const request of [...this.requests]) if (!request.keepalive) this.requests.delete(request);
  }

  /** All connections end, as with a reset. */
  cut() {
    for (const socket of [...this.sockets]) socket.lose(1006);
    for (const request of [...this.requests]) request.lose();
  }

  kill() {
    this.server.kill();
    this.polls.kill();
    this.cut();
  }

  delay(act) {
    this.clock.after(1 + this.random() * 30, act);
  }

  fetch(url, { body, signal, keepalive }) {
    const post = JSON.parse(body);
    if (!post.sid) this.opened.longpoll += 1;
    return new Promise((resolve, reject) => {
      const request = { keepalive, lose: () => done(() => reject(new TypeError('Failed to fetch'))) };
      const done = (act) => {
        if (!this.requests.delete(request)) return;
        act();
      };
      this.requests.add(request);
      signal?.addEventListener('abort', request.lose);
      const lost = this.random() < this.lossy;
      const back = this.random() < 0.5;
      this.delay(() => {
        if (this.hole || !this.requests.has(request)) return;
        if (this.httpStatus) {
          const { httpStatus: status, retryAfter } = this;
          return done(() => resolve({ ok: false, status, headers: new Map([['retry-after', retryAfter]]) }));
        }
        if (!this.server.up || (lost && !back)) return request.lose();
        this.polls.post(post, (answer) => {
          const text = JSON.stringify(answer);
          this.delay(() => {
            if (this.hole) return;
            if (lost) request.lose();
            else done(() => resolve({ ok: true, status: 200, json: async () => JSON.parse(text) }));
          });
        });
      });
    });
  }
}

// Timers of hidden tabs go off at whole minutes only.
const inAMinute = (due) => Math.ceil(due / 60000) * 60000;

/** Web Storage. */
export class FakeStorage {
  constructor() {
    this.items = new Map();
  }
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
  removeItem(key) {
    this.items.delete(key);
  }
}

function socketOf(world) {
  return class FakeSocket {
    constructor(url, protocol) {
      this.protocol = '';
      this.readyState = 0;
      this.up = []; // on the way to the server, in order
      this.down = [];
      world.sockets.add(this);
      if (world.webSockets === 'hang') return;
      world.delay(() => {
        if (world.hole || this.readyState > 0) return;
        if (world.webSockets !== 'open' || !world.server.up) return this.lose(1006);
        world.opened.websocket += 1;
        this.readyState = 1;
        this.protocol = world.protocol ?? protocol;
        this.onopen();
      });
    }

    send(text) {
      this.up.push(JSON.parse(text));
      world.delay(() => {
        if (world.hole || this.readyState !== 1) return;
        for (const frame of this.up.splice(0)) {
          if (frame.t === 'hello') this.session = world.server.hello(frame, (said) => this.bring(said));
          else if (this.session) world.server.carryOut(this.session, frame);
        }
      });
    }

    bring(frame) {
      this.down.push(JSON.stringify(frame));
      world.delay(() => {
        if (world.hole || this.readyState !== 1) return;
        for (const data of this.down.splice(0)) {
          this.onmessage({ data });
          if (JSON.parse(data).t === 'close') this.lose(4000);
        }
      });
    }

    close() {
      this.lose(1005);
    }

    lose(code) {
      if (!world.sockets.delete(this)) return;
      this.readyState = 3;
      world.server.sessions.delete(this.session);
      this.onclose?.({ code });
    }
  };
}
