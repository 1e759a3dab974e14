// The chat without its looks: one XMPP session over Strophe.js, told as events.
//
//   status   { state: 'connecting' | 'online' | 'waiting' | 'offline', reason }
//   contacts the roster, someone's presence, or the open requests changed: read `contacts`, `requests`
//   message  { with, body, mine, at }   one message of a conversation, ours or theirs
//   notice   { body, at }               something the server itself says (`herald sendto`)
import { Strophe, $iq, $msg, $pres } from './node_modules/strophe.js/dist/strophe.esm.js';

const NS_ROSTER = 'jabber:iq:roster';
const NS_DELAY = 'urn:xmpp:delay';
const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 30_000;

export class Chat extends EventTarget {
  /** Bare JID -> { jid, name, subscription, asked, resources: Map(resource -> show) } */
  contacts = new Map();
  /** Bare JIDs that would like to see when we are online. */
  requests = new Set();
  /** What we say of ourselves: 'online' or 'away'. */
  show = 'online';
  /** Whether a session is up. */
  get online() {
    return Boolean(this.#connection?.connected && this.#connection.authenticated);
  }


  #connection = null;
  #login = null;
  #retryMs = RETRY_MS_FIRST;
  #retryTimer = null;

  /** Logs in; `service` is a BOSH URL (http:, https:) or a WebSocket URL (ws:, wss:). */
  connect({ service, jid, password }) {
    this.#login = { service, jid, password };
    this.service = service;
    this.jid = Strophe.getBareJidFromJid(jid);
    this.domain = Strophe.getDomainFromJid(jid);
    this.#dial();
  }

  /** Takes leave: everyone sees us go offline. */
  disconnect() {
    this.#login = null;
    clearTimeout(this.#retryTimer);
    this.#connection?.disconnect('bye');
    this.#connection = null;
    this.#tell('status', { state: 'offline' });
  }

  /** Sends one chat message, and tells of it as our own. */
  say(jid, body) {
    const id = this.#connection.getUniqueId('m');
    this.#connection.send($msg({ to: jid, type: 'chat', id }).c('body').t(body));
    this.#tell('message', { with: jid, body, mine: true, at: new Date() });
  }

  /** Puts someone on the roster and asks to see when they are online. */
  add(jid, name) {
    const item = name ? { jid, name } : { jid };
    this.#connection.sendIQ($iq({ type: 'set' }).c('query', { xmlns: NS_ROSTER }).c('item', item));
    this.#connection.send($pres({ to: jid, type: 'subscribe' }));
  }

  /** Takes someone off the roster; neither sees the other any more. */
  remove(jid) {
    const item = { jid, subscription: 'remove' };
    this.#connection.sendIQ($iq({ type: 'set' }).c('query', { xmlns: NS_ROSTER }).c('item', item));
  }

  /** Answers a request: yes asks for the same in return. */
  answer(jid, yes) {
    this.requests.delete(jid);
    this.#connection.send($pres({ to: jid, type: yes ? 'subscribed' : 'unsubscribed' }));
    const subscription = this.contacts.get(jid)?.subscription;
    if (yes && subscription !== 'to' && subscription !== 'both') this.add(jid);
    this.#tell('contacts');
  }

  /** Says 'online' or 'away' to everyone who may see it. */
  setShow(show) {
    this.show = show;
    if (this.#connection?.connected) this.#sendPresence();
  }

  /** 'online', 'away' or 'offline': the best of a contact's resources. */
  stateOf(contact) {
    const shows = [...contact.resources.values()];
    if (shows.length === 0) return 'offline';
    return shows.some((show) => show === '' || show === 'chat') ? 'online' : 'away';
  }

  #dial() {
    const { service, jid, password } = this.#login;
    this.#tell('status', { state: 'connecting' });
    const connection = new Strophe.Connection(service);
    this.#connection = connection;
    connection.connect(jid, password, (status, reason) => {
      // An attempt that was given up may still have something to say; nobody listens.
      if (connection === this.#connection) this.#onStatus(status, reason);
    });
  }

  #onStatus(status, reason) {
    const { CONNECTED, DISCONNECTED, AUTHFAIL, CONNFAIL } = Strophe.Status;
    if (status === AUTHFAIL) {
      this.#login = null;
      this.#tell('status', { state: 'offline', reason: 'Wrong name or password.' });
    } else if (status === CONNECTED) {
      this.#retryMs = RETRY_MS_FIRST;
      this.#start();
    } else if (status === DISCONNECTED || status === CONNFAIL) {
      this.#retry(reason);
    }
  }

  // A lost connection is dialled again, ever more slowly, until the user takes leave.
  #retry(reason) {
    if (!this.#login) return;
    this.#connection = null;
    for (const contact of this.contacts.values()) contact.resources.clear();
    this.#tell('contacts');
    if (reason === 'conflict') {
      this.#login = null;
      this.#tell('status', { state: 'offline', reason: 'Logged in from another place.' });
      return;
    }
    this.#tell('status', { state: 'waiting' });
    this.#retryTimer = setTimeout(() => this.#login && this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  // RFC 6121, 2.2: the roster is asked for before the first presence, so that none comes unplaced.
  #start() {
    const connection = this.#connection;
    connection.addHandler((stanza) => this.#onRosterPush(stanza), NS_ROSTER, 'iq', 'set');
    connection.addHandler((stanza) => this.#onPresence(stanza), null, 'presence');
    connection.addHandler((stanza) => this.#onMessage(stanza), null, 'message');
    connection.sendIQ($iq({ type: 'get' }).c('query', { xmlns: NS_ROSTER }), (result) => {
      this.contacts.clear();
      this.requests.clear();
      for (const item of result.getElementsByTagName('item')) this.#keep(item);
      this.#tell('contacts');
      this.#sendPresence();
      this.#tell('status', { state: 'online' });
    });
  }

  #sendPresence() {
    const presence = $pres();
    if (this.show === 'away') presence.c('show').t('away');
    this.#connection.send(presence);
  }

  #onRosterPush(stanza) {
    const from = stanza.getAttribute('from');
    // Only the server may change the roster (RFC 6121, 2.1.6).
    if (from && from !== this.jid) return true;
    for (const item of stanza.getElementsByTagName('item')) this.#keep(item);
    this.#connection.send($iq({ type: 'result', id: stanza.getAttribute('id') }));
    this.#tell('contacts');
    return true;
  }

  #keep(item) {
    const jid = item.getAttribute('jid');
    const subscription = item.getAttribute('subscription') ?? 'none';
    if (subscription === 'remove') {
      this.contacts.delete(jid);
      return;
    }
    const contact = this.#contact(jid);
    contact.name = item.getAttribute('name') || Strophe.getNodeFromJid(jid) || jid;
    contact.subscription = subscription;
    contact.asked = item.getAttribute('ask') === 'subscribe';
  }

  #onPresence(stanza) {
    const jid = Strophe.getBareJidFromJid(stanza.getAttribute('from'));
    const resource = Strophe.getResourceFromJid(stanza.getAttribute('from'));
    const type = stanza.getAttribute('type');
    if (jid === this.jid) return true;
    if (type === 'subscribe') this.#onRequest(jid);
    else if (type === 'unsubscribe') this.requests.delete(jid);
    else if (type === 'unavailable') this.contacts.get(jid)?.resources.delete(resource);
    else if (!type) this.#contact(jid).resources.set(resource, textOf(stanza, 'show').trim());
    this.#tell('contacts');
    return true;
  }

  // Someone we asked first is answered at once: both sides want it.
  #onRequest(jid) {
    const contact = this.contacts.get(jid);
    const wanted = contact && (contact.asked || ['to', 'both'].includes(contact.subscription));
    if (wanted) this.#connection.send($pres({ to: jid, type: 'subscribed' }));
    else this.requests.add(jid);
  }

  #onMessage(stanza) {
    const body = textOf(stanza, 'body');
    const from = stanza.getAttribute('from') ?? this.domain;
    if (!body || stanza.getAttribute('type') === 'error') return true;
    const jid = Strophe.getBareJidFromJid(from);
    const delay = stanza.getElementsByTagNameNS(NS_DELAY, 'delay')[0]?.getAttribute('stamp');
    const at = delay ? new Date(delay) : new Date();
    if (jid === this.domain) {
      this.#tell('notice', { body, at });
    } else {
      this.#contact(jid);
      this.#tell('message', { with: jid, body, mine: false, at });
    }
    return true;
  }

  #contact(jid) {
    if (!this.contacts.has(jid)) {
      const name = Strophe.getNodeFromJid(jid) ?? jid;
      this.contacts.set(jid, { jid, name, subscription: 'none', asked: false, resources: new Map() });
    }
    return this.contacts.get(jid);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function textOf(stanza, name) {
  const child = [...stanza.children].find((element) => element.localName === name);
  return child?.textContent ?? '';
}
