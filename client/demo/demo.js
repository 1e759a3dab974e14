// The demo: two phones, each a herald.js of its own on a line that can be cut, and a backend that pushes to them.

import { connect } from '/herald.js';
import { Line } from '/line.js';

const KEPT = 'herald-demo';
const BURST = 25;
const byId = (id) => document.getElementById(id);

// ---------------------------------------------------------------- who is here

// The same two people for as long as this tab lives; a reload goes on with what they have said.
async function people() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
  if (kept) return kept;
  const response = await fetch('/demo/start', { method: 'POST' });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const made = await response.json();
  sessionStorage.setItem(KEPT, JSON.stringify(made));
  return made;
}

// A token opens once; after that herald.js has a ticket. Without either the demo begins anew.
function tokenOf(person) {
  let unused = person.token;
  return () => {
    const token = unused;
    unused = null;
    return token;
  };
}

// ---------------------------------------------------------------- a phone

class Phone {
  constructor(name, person, other) {
    this.root = byId(name);
    this.wire = byId(`${name}-wire`);
    this.person = person;
    this.other = other;
    this.line = new Line();
    this.root.append(byId('phone').content.cloneNode(true));
    this.wire.append(byId('wire').content.cloneNode(true));
    this.find = (selector) => this.root.querySelector(selector);
    this.find('.who').textContent = `${person.name}'s phone`;
    this.find('.face').textContent = other.name[0];
    this.find('.name').textContent = other.name;
    this.log = this.find('.log');
    this.log.dataset.empty = `Say something to ${other.name}. Then cut the line, and say something more.`;
    new ResizeObserver(() => (this.log.scrollTop = this.log.scrollHeight)).observe(this.log);
    this.field = this.find('input');
    this.field.placeholder = `Message to ${other.name}`;
    this.field.setAttribute('aria-label', this.field.placeholder);
    this.lost = null; // since when there is no connection, and what was the last message
    this.lines = this.#restore();
    this.me = connect({
      uid: person.uid,
      token: tokenOf(person),
      WebSocket: this.line.WebSocket,
      fetch: this.line.fetch,
    });
    this.#listen();
    this.#controls();
  }

  #listen() {
    const { me, other } = this;
    me.on('state', (state) => this.#state(state));
    me.on('message', ({ id, at, uid, body, json }) => {
      this.#bead('down');
      const mine = uid === other.uid ? 'theirs' : 'push';
      this.#add({ kind: mine, id, at, text: body ?? JSON.stringify(json) });
      this.#doing();
      if (this.caught) this.#caughtUp(id);
    });
    me.on('presence', ({ uid }) => uid === other.uid && this.#doing());
    me.on('typing', ({ uid, state }) => uid === other.uid && this.#doing(state === 'composing'));
    me.on('gap', ({ after, before }) => this.#notice(`Messages ${after + 1} to ${before - 1} are no longer kept`, 'gap'));
    me.on('sent', ({ ref, results: [result] }) => this.#mark(ref, result));
    me.on('error', ({ ref, code }) => {
      if (ref) this.#mark(ref, { state: code });
      else if (code === 'unauthorized') startAnew();
      else this.#notice(`The server said: ${code}`, 'gap');
    });
  }

  #controls() {
    const cut = this.wire.querySelector('.cut');
    const words = cut.querySelector('span');
    const show = (isCut) => {
      cut.setAttribute('aria-pressed', String(isCut));
      words.textContent = isCut ? 'Mend' : 'Cut';
      cut.title = isCut ? `Mend ${this.person.name}'s line` : `Cut ${this.person.name}'s line`;
    };
    show(false);
    cut.addEventListener('click', () => {
      const isCut = cut.getAttribute('aria-pressed') !== 'true';
      show(isCut);
      if (isCut) this.line.cut();
      else this.line.mend();
    });
    const box = this.wire.querySelector('.switch input');
    box.setAttribute('aria-label', `${this.person.name}'s network lets WebSockets through`);
    box.addEventListener('change', () => this.line.allow(box.checked));
    this.field.addEventListener('input', () => this.me.typing(this.other.uid, this.field.value !== ''));
    this.find('.say').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.field.value.trim();
      if (!text) return;
      this.field.value = '';
      const { ref } = this.me.send(this.other.uid, text);
      this.#add({ kind: 'mine', ref, at: new Date().toISOString(), text });
      if (this.me.state === 'online') this.#bead('up');
    });
  }

  // ---- the state of the line

  #state({ state, transport, error, retryInMs }) {
    this.root.dataset.state = state;
    this.wire.dataset.state = state;
    clearInterval(this.counting);
    const words = { connecting: 'connecting…', offline: 'no connection', closed: 'closed' };
    const ways = { websocket: 'WebSocket', longpoll: 'long polling' };
    this.find('.transport').textContent = ways[transport] ?? words[state];
    if (state === 'online') {
      this.#notice(null);
      if (this.lost) {
        this.caught = { ...this.lost, until: Date.now(), ids: [] };
        setTimeout(() => (this.caught = null), 1500);
        this.#caughtUp();
      }
      this.lost = null;
    } else if (state === 'offline') {
      this.lost ??= { at: Date.now(), id: this.me.lastId };
      const again = Date.now() + retryInMs;
      const count = () => {
        const secs = Math.max(0, (again - Date.now()) / 1000).toFixed(1);
        this.#notice(`No connection. Trying again in ${secs} s`, '');
      };
      this.counting = setInterval(count, 100);
      count();
    } else if (state === 'closed' && error) {
      this.#notice(`The connection has ended: ${error.code}`, 'gap');
    }
    this.#doing();
  }

  #caughtUp(id) {
    const { at, ids, until } = this.caught;
    if (id) ids.push(id);
    const away = ((until - at) / 1000).toFixed(0);
    const what = ids.length ? `${ids.length} caught up (#${ids[0]}–#${ids.at(-1)}), none missing` : 'nothing missed';
    this.#notice(`Back after ${away} s: ${what.replace(/\(#(\d+)–#\1\)/, '(#$1)')}`, 'good');
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => this.#notice(null), 8000);
  }

  #notice(text, kind) {
    const notice = this.find('.notice');
    clearTimeout(this.hiding);
    notice.hidden = text === null;
    notice.textContent = text ?? '';
    notice.className = `notice ${kind ?? ''}`;
    this.log.scrollTop = this.log.scrollHeight; // it has less room now
  }

  // ---- the other one

  #doing(typing = false) {
    const doing = this.find('.doing');
    const online = this.me?.isOnline(this.other.uid);
    this.root.dataset.other = online ? 'online' : 'offline';
    doing.textContent = typing ? 'typing…' : online ? 'online' : 'offline';
    doing.classList.toggle('typing', typing);
  }

  #bead(way) {
    const bead = document.createElement('span');
    bead.className = `bead ${way}`;
    bead.addEventListener('animationend', () => bead.remove());
    if (document.visibilityState === 'visible') this.wire.querySelector('.strand').append(bead);
  }

  // ---- what was said

  #add(line) {
    this.lines.push(line);
    this.#draw(line);
    this.#keep();
  }

  #draw({ kind, id, ref, at, text, state }) {
    const item = document.createElement('li');
    const words = document.createElement('p');
    const small = document.createElement('small');
    item.className = kind;
    words.textContent = text;
    const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    small.textContent = id ? `#${id} · ${time}` : time;
    if (kind === 'mine') {
      item.dataset.ref = ref;
      item.classList.toggle('waiting', !state);
      small.textContent = `${time} ${marks[state] ?? (state ? `not sent: ${state}` : '· waiting')}`;
      small.title = state ?? 'waiting for the server';
    }
    item.append(words, small);
    const old = kind === 'mine' && this.log.querySelector(`[data-ref="${CSS.escape(ref)}"]`);
    if (old) return old.replaceWith(item);
    this.log.append(item);
    this.log.scrollTop = this.log.scrollHeight;
  }

  #mark(ref, { state }) {
    const line = this.lines.find((each) => each.ref === ref);
    if (!line) return;
    if (!line.state && this.me.state === 'online') this.#bead('up');
    line.state = state;
    this.#draw(line);
    this.#keep();
  }

  #keep() {
    this.lines = this.lines.slice(-200);
    sessionStorage.setItem(`${KEPT}:${this.person.uid}`, JSON.stringify(this.lines));
  }

  #restore() {
    const lines = JSON.parse(sessionStorage.getItem(`${KEPT}:${this.person.uid}`) ?? '[]');
    lines.forEach((line) => this.#draw(line));
    return lines;
  }
}

const marks = { stored: '✓', delivered: '✓✓' };

// ---------------------------------------------------------------- the backend

class Backend {
  constructor(ada, ben, admin) {
    this.uids = { ada: [ada.uid], ben: [ben.uid], both: [ada.uid, ben.uid] };
    this.admin = admin ?? 'http://127.0.0.1:5281';
    this.form = byId('sendto');
    this.form.addEventListener('input', () => this.#show());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#push([this.form.body.value]);
    });
    byId('burst').addEventListener('click', () => {
      this.#push(Array.from({ length: BURST }, (_, n) => `${this.form.body.value} (${n + 1} of ${BURST})`));
    });
    byId('copy').addEventListener('click', async () => {
      await navigator.clipboard?.writeText(byId('curl').textContent);
      byId('copy').textContent = 'Copied';
      setTimeout(() => (byId('copy').textContent = 'Copy'), 1500);
    });
    this.#show();
  }

  #show() {
    const uids = this.uids[this.form.to.value];
    const body = JSON.stringify({ to: uids.length > 1 ? uids : uids[0], body: this.form.body.value });
    byId('curl').textContent = `curl -H "Authorization: Bearer $(cat data/admin.token)" \\
  --json '${body.replaceAll("'", "'\\''")}' \\
  ${this.admin}/api/v1/sendto`;
  }

  async #push(bodies) {
    const uids = this.uids[this.form.to.value];
    const results = [];
    for (const body of bodies) {
      // The demo's own call takes one of its own people at a time.
      const said = await Promise.all(uids.map((uid) => this.#sendto(uid, body)));
      results.splice(0, results.length, ...said.flat());
    }
    byId('answer').textContent = results.map(brief).join('\n');
  }

  async #sendto(uid, body) {
    try {
      const headers = { 'Content-Type': 'application/json' };
      const response = await fetch('/demo/sendto', { method: 'POST', headers, body: JSON.stringify({ uid, body }) });
      const answer = await response.json();
      return answer.results ?? [answer];
    } catch (error) {
      return [{ uid, error: String(error) }];
    }
  }
}

// What of a result is worth a line.
const brief = ({ uid, state, sessions, id, ...rest }) => JSON.stringify(state ? { uid, state, sessions, id } : rest);

// ---------------------------------------------------------------- curtain up

// The server does not know these two any more: others are made. Once; then something else is wrong.
function startAnew() {
  const anew = Number(sessionStorage.getItem(`${KEPT}:anew`));
  if (Date.now() - anew < 30000) return;
  sessionStorage.clear();
  sessionStorage.setItem(`${KEPT}:anew`, Date.now());
  location.reload();
}

async function start() {
  let made;
  try {
    made = await people();
  } catch {
    byId('off').hidden = false;
    byId('off').textContent = `The demo is off here: it makes accounts, so only the machine that Herald runs on may start it.
      There, open http://localhost:5280/, with http.demo = "loopback" in the configuration.`;
    return;
  }
  const [ada, ben] = made.people;
  const phones = [new Phone('ada', ada, ben), new Phone('ben', ben, ada)];
  new Backend(ada, ben, made.admin);
  const script = await fetch('/herald.js').then((r) => r.arrayBuffer()).catch(() => null);
  if (script) byId('size').textContent = `${(script.byteLength / 1024).toFixed(1)} KB`;
  window.demo = { phones };
}

start();
