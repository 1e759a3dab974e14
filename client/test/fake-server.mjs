// A small Herald: the protocol herald.v1 over the fake network, with what lasts (logs, refs) apart from what a kill
// ends (sessions).

let made = 0;

export class FakeServer {
  constructor(clock) {
    this.clock = clock;
    this.epoch = 'e1';
    this.logs = new Map(); // uid -> frames
    this.lasts = new Map(); // uid -> the newest number
    this.removed = new Map(); // uid -> retention took all up to this
    this.refs = new Map(); // "uid ref" -> results
    this.tickets = new Set();
    this.tokens = new Set(['secret']);
    this.sessions = new Set();
    this.heard = []; // frames of clients, as they were carried out
    this.refusals = []; // errors for the next sends, or null
    this.up = true;
    this.repeats = 0;
  }

  // ---------------------------------------------------------------- the test's side

  log(uid) {
    if (!this.logs.has(uid)) this.logs.set(uid, []);
    return this.logs.get(uid);
  }

  /** A backend's sendto, stored. */
  push(uid, body, more = {}) {
    const id = (this.lasts.get(uid) ?? 0) + 1;
    this.lasts.set(uid, id);
    const at = new Date(this.clock.now).toISOString();
    const frame = { t: 'message', id, at, from: 'backend@localhost', uid: 'backend', kind: 'chat', body, ...more };
    this.log(uid).push(frame);
    this.say(uid, frame);
    return id;
  }

  of(uid) {
    return [...this.sessions].filter((session) => session.uid === uid);
  }

  /** Says this to all sessions of a user. */
  say(uid, frame) {
    for (const session of this.of(uid)) session.tell(frame);
  }

  /** Everything that does not last is gone. Links are the network's to cut. */
  kill() {
    this.up = false;
    this.sessions.clear();
  }

  start() {
    this.up = true;
  }

  /** Another data folder: numbers begin anew. */
  reset() {
    this.epoch += "'";
    this.logs.clear();
    this.lasts.clear();
    this.removed.clear();
  }

  /** Retention takes all up to this number. */
  remove(uid, upto) {
    this.removed.set(uid, upto);
    this.logs.set(uid, this.log(uid).filter((frame) => frame.id > upto));
  }

  // ---------------------------------------------------------------- a session

  /** `out(frame)` brings a frame to the client. */
  hello(frame, out) {
    const { uid, token, since, epoch, resource } = frame;
    this.heard.push(frame);
    if (this.refuseHello) return void out(this.refuseHello);
    if (!this.tokens.has(token) && !this.tickets.has(token)) {
      return void out({ t: 'close', code: 'unauthorized', detail: 'no', retry: false });
    }
    const session = { uid, resource: resource ?? `r${(made += 1)}`, tell: out };
    for (const other of this.of(uid).filter((s) => s.resource === session.resource)) {
      this.sessions.delete(other);
      other.tell({ t: 'close', code: 'conflict', detail: 'taken over', retry: false });
    }
    this.sessions.add(session);
    const last = this.lasts.get(uid) ?? 0;
    const ticket = `ticket-${(made += 1)}`;
    this.tickets.add(ticket);
    const expires = new Date(this.clock.now + 86400000).toISOString();
    const foreign = epoch !== undefined && epoch !== this.epoch;
    const from = foreign || since > last ? 0 : (since ?? last);
    out({
      t: 'ready', uid, jid: `${uid}@localhost`, resource: session.resource, epoch: this.epoch, since: from, last, ticket,
      ticket_expires: expires, ping_secs: 25,
    });
    const [first] = this.log(uid).filter(({ id }) => id > from);
    if (foreign) out({ t: 'gap', after: 0, before: first?.id ?? last + 1, epoch: this.epoch });
    const removed = this.removed.get(uid) ?? 0;
    if (removed > from) out({ t: 'gap', after: from, before: removed + 1 });
    // What was on its way already may come again.
    for (const message of this.log(uid)) if (message.id > from - this.repeats) out(message);
    return session;
  }

  carryOut(session, frame) {
    const { t, ref, to } = frame;
    this.heard.push(frame);
    if (t === 'ping') session.tell({ t: 'pong' });
    else if (t === 'bye') this.sessions.delete(session);
    else if (t === 'history') {
      const items = this.log(session.uid).filter(({ id }) => id > (frame.since ?? 0)).slice(0, frame.limit);
      session.tell({ t: 'history', ref, items, last: this.lasts.get(session.uid) ?? 0, complete: true });
    } else if (t === 'send' && ref) {
      const refusal = this.refusals.shift();
      if (refusal) return session.tell({ t: 'error', ref, ...refusal });
      const once = `${session.uid} ${ref}`;
      const { body, json, kind } = frame;
      if (!this.refs.has(once)) {
        const id = this.push(to, body, { from: `${session.uid}@localhost/x`, uid: session.uid, json, kind });
        this.refs.set(once, [{ uid: to, state: 'stored', id }]);
      }
      session.tell({ t: 'sent', ref, results: this.refs.get(once) });
    }
  }
}

/** The long polls of one server. */
export class Polls {
  constructor(server, clock) {
    this.server = server;
    this.clock = clock;
    this.all = new Map(); // sid -> poll
  }

  /** Answers one post, as `answer(object)`. */
  post({ sid, ack, wait, seq, frames }, answer) {
    if (!sid) return this.begin(frames, seq, answer);
    const poll = this.all.get(sid);
    if (!poll || poll.over) return answer({ n: 0, frames: [{ t: 'close', code: 'unknown_session', detail: '', retry: true }] });
    if (poll.answers.has(seq)) return answer(poll.answers.get(seq));
    poll.answer = (n, said) => {
      if (said.answered) return;
      said.answered = true;
      poll.answers.set(said.seq, n);
      said.answer(n);
    };
    const post = { seq, wait, frames, answer, ack };
    poll.early.set(seq, post);
    while (poll.early.has(poll.seq + 1)) {
      poll.seq += 1;
      this.takeUp(poll, poll.early.get(poll.seq));
      poll.early.delete(poll.seq);
    }
  }

  begin([hello], seq, answer) {
    const sid = `s${(made += 1)}`;
    const poll = { seq, n: 0, queue: [], answers: new Map(), early: new Map(), held: null, over: false };
    poll.tell = (frame) => {
      poll.queue.push(frame);
      if (frame.t === 'close') poll.over = true;
      if (poll.held) this.release(poll);
    };
    poll.session = this.server.hello(hello, poll.tell);
    this.all.set(sid, poll);
    poll.n = 1;
    answer({ sid, n: 1, frames: poll.queue.splice(0) });
  }

  takeUp(poll, post) {
    if (poll.held) this.release(poll);
    for (const frame of post.frames) this.server.carryOut(poll.session, frame);
    poll.held = post;
    if (poll.queue.length || !post.wait) this.release(poll);
    else this.clock.after(post.wait * 1000, () => poll.held === post && this.release(poll));
  }

  release(poll) {
    const post = poll.held;
    poll.held = null;
    const frames = poll.queue.splice(0);
    if (frames.length) poll.n += 1;
    poll.answer({ n: poll.n, frames }, post);
  }

  kill() {
    this.all.clear();
  }
}
