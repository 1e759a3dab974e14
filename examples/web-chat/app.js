// The page: draws what `Chat` tells, and hands it what the user does.
// Configured by the query string: ?bosh=URL &ws=URL &domain=NAME &transport=bosh|ws &jid=USER
import { Chat } from './chat.js';

const query = new URLSearchParams(location.search);
const config = {
  bosh: query.get('bosh') ?? 'http://127.0.0.1:5280/http-bind',
  ws: query.get('ws') ?? 'ws://127.0.0.1:5280/ws',
  domain: query.get('domain') ?? 'localhost',
};
const NOTICES_MAX = 4; // an older one makes room
const MESSAGES_MAX = 1_000; // of one conversation; older ones are forgotten
const STATE_WORDS = { online: 'Online', away: 'Away', offline: 'Offline' };
const CONNECTION_WORDS = { connecting: 'Connecting…', waiting: 'Trying again…', offline: 'Offline' };

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

let chat = null;
let open = null; // the bare JID whose conversation is shown
const talks = new Map(); // bare JID -> { messages: [], unread: 0 }

const login = $('login');
login.elements.jid.value = query.get('jid') ?? '';
login.elements.transport.value = query.get('transport') === 'ws' ? 'ws' : 'bosh';
login.addEventListener('submit', (event) => {
  event.preventDefault();
  const { jid, password, transport } = Object.fromEntries(new FormData(login));
  start({ service: config[transport], jid: fullName(jid), password });
});

$('logout').addEventListener('click', () => chat.disconnect());
$('show').addEventListener('change', (event) => chat.setShow(event.target.value));
$('back').addEventListener('click', () => show(null));
$('add').addEventListener('submit', (event) => {
  event.preventDefault();
  const jid = fullName(event.target.elements.jid.value);
  const fault = faultOf(jid);
  $('add-error').textContent = fault;
  if (fault) return;
  chat.add(jid);
  event.target.reset();
});
$('compose').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = event.target.elements.body;
  if (field.value.trim() && chat.online) {
    chat.say(open, field.value.trim());
    field.value = '';
  }
  field.focus();
});
$('compose').elements.body.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('compose').requestSubmit();
});
document.addEventListener('visibilitychange', () => drawAll());
// Closing the tab is taking leave; without it the others would see us until the session times out.
addEventListener('pagehide', () => chat?.disconnect());

function start(account) {
  chat = new Chat();
  chat.addEventListener('status', (event) => drawStatus(event.detail));
  chat.addEventListener('contacts', drawAll);
  chat.addEventListener('message', (event) => keepMessage(event.detail));
  chat.addEventListener('notice', (event) => drawNotice(event.detail));
  talks.clear();
  open = null;
  $('show').value = 'online';
  $('login-error').textContent = '';
  chat.connect(account);
  $('me-name').textContent = chat.jid.split('@')[0];
  $('me-name').title = chat.jid;
  dress($('me-avatar'), chat.jid);
}

function drawStatus({ state, reason }) {
  const loggedIn = state === 'online' || !$('chat-page').hidden;
  const gone = state === 'offline';
  login.querySelector('button').disabled = state === 'connecting';
  const transport = chat.service.startsWith('ws') ? 'WebSocket' : 'BOSH';
  const unseen = make('span', { className: 'unseen', textContent: 'Connected over ' });
  $('connection').replaceChildren(...(state === 'online' ? [unseen, transport] : [CONNECTION_WORDS[state]]));
  $('connection').dataset.state = state;
  $('compose').querySelector('button').disabled = state !== 'online';
  $('login-page').hidden = loggedIn && !gone;
  $('chat-page').hidden = !loggedIn || gone;
  if (!loggedIn && state === 'waiting') {
    chat.disconnect();
    $('login-error').textContent = `The server at ${new URL(chat.service).host} cannot be reached.`;
  } else if (gone) {
    login.elements.password.value = '';
    $('login-error').textContent = reason ?? '';
    document.title = 'Herald chat';
  }
  drawAll();
}

function keepMessage({ with: jid, ...message }) {
  const talk = talkWith(jid);
  talk.messages.push(message);
  if (talk.messages.length > MESSAGES_MAX) talk.messages.shift();
  if (!message.mine && (jid !== open || document.hidden)) talk.unread += 1;
  if (jid === open) drawMessage(message, talk.messages.at(-2));
  drawAll();
}

function show(jid) {
  open = jid;
  $('chat-page').classList.toggle('talking', jid !== null);
  $('messages').replaceChildren();
  if (jid) {
    let earlier;
    for (const message of talkWith(jid).messages) {
      drawMessage(message, earlier);
      earlier = message;
    }
  }
  drawAll();
  if (jid) $('compose').elements.body.focus();
}

function drawAll() {
  if (!chat || $('chat-page').hidden) return;
  if (open && !document.hidden) talkWith(open).unread = 0;
  const contacts = [...chat.contacts.values()].sort(byStateThenName);
  keepFocus(() => {
    $('requests').replaceChildren(...[...chat.requests].map(requestRow));
    $('contacts').replaceChildren(...contacts.map(contactRow));
  });
  $('no-contacts').hidden = contacts.length + chat.requests.size > 0;
  drawPeer();
  const unread = [...talks.values()].reduce((sum, talk) => sum + talk.unread, 0);
  document.title = unread ? `(${unread}) Herald chat` : 'Herald chat';
}

// Rows are drawn anew; who was focused stays so.
function keepFocus(draw) {
  const key = document.activeElement?.dataset?.key;
  draw();
  if (key) document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

function drawPeer() {
  const contact = open && chat.contacts.get(open);
  $('nobody').hidden = Boolean(contact);
  for (const id of ['peer', 'messages', 'compose']) $(id).hidden = !contact;
  if (!contact) return;
  $('peer-name').textContent = contact.name;
  $('peer-state').textContent = `${STATE_WORDS[chat.stateOf(contact)]} · ${contact.jid}`;
  dress($('peer-avatar'), contact.jid, chat.stateOf(contact));
}

function drawMessage(message, earlier) {
  const list = $('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  if (message.at.toDateString() !== (earlier?.at ?? new Date()).toDateString()) {
    list.append(make('li', { className: 'day', textContent: calendar.format(message.at) }));
  }
  const time = make('time', { dateTime: message.at.toISOString(), textContent: clock.format(message.at) });
  list.append(make('li', { className: message.mine ? 'message mine' : 'message' }, message.body, time));
  if (atEnd || message.mine) list.scrollTop = list.scrollHeight;
}

function drawNotice({ body }) {
  const close = make('button', { className: 'quiet', textContent: '✕', ariaLabel: 'Dismiss' });
  const text = make('div', {}, make('strong', { textContent: chat.domain }), make('p', { textContent: body }));
  const toast = make('div', { className: 'toast' }, bell(), text, close);
  close.addEventListener('click', () => toast.remove());
  $('toasts').append(toast);
  if ($('toasts').children.length > NOTICES_MAX) $('toasts').firstChild.remove();
}

function requestRow(jid) {
  const accept = make('button', { textContent: 'Accept', className: 'primary' });
  const decline = make('button', { textContent: 'Decline' });
  accept.dataset.key = `accept ${jid}`;
  decline.dataset.key = `decline ${jid}`;
  accept.addEventListener('click', () => chat.answer(jid, true));
  decline.addEventListener('click', () => chat.answer(jid, false));
  const who = make('span', {}, make('strong', { textContent: jid }), ' would like to see when you are online');
  return make('li', {}, who, accept, decline);
}

function contactRow(contact) {
  const state = chat.stateOf(contact);
  const { messages, unread } = talkWith(contact.jid);
  const avatar = make('span', { className: 'avatar', ariaHidden: 'true' });
  dress(avatar, contact.jid, state);
  const last = messages.at(-1);
  const said = last && (last.mine ? `You: ${last.body}` : last.body);
  const under = contact.asked ? 'Waiting for an answer' : (said ?? STATE_WORDS[state]);
  const words = make('span', { className: 'who' },
    make('strong', { textContent: contact.name }), make('span', { textContent: under }));
  const row = make('button', { className: 'contact', title: contact.jid }, avatar, words);
  row.setAttribute('aria-label', `${contact.name}, ${STATE_WORDS[state]}${unread ? `, ${unread} unread` : ''}`);
  row.setAttribute('aria-current', String(contact.jid === open));
  row.dataset.state = state;
  row.dataset.key = row.dataset.jid = contact.jid;
  if (unread) row.append(make('span', { className: 'badge', textContent: String(unread) }));
  row.addEventListener('click', () => show(contact.jid));
  return make('li', {}, row);
}

function dress(avatar, jid, state) {
  const hue = [...jid].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  avatar.style.setProperty('--hue', hue);
  avatar.textContent = jid[0].toUpperCase();
  if (!state) return;
  const dot = make('span', { className: 'dot' });
  dot.dataset.state = state;
  avatar.append(dot);
}

function bell() {
  const holder = document.createElement('div');
  holder.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 10a6 6 0 0 1 12 0c0 6 2 7 2 7H4s2-1 2-7M10 20h4"/></svg>';
  return holder.firstChild;
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function talkWith(jid) {
  if (!talks.has(jid)) talks.set(jid, { messages: [], unread: 0 });
  return talks.get(jid);
}

function byStateThenName(a, b) {
  const rank = { online: 0, away: 1, offline: 2 };
  return rank[chat.stateOf(a)] - rank[chat.stateOf(b)] || a.name.localeCompare(b.name);
}

// "alice" is alice at the configured domain.
function fullName(name) {
  const jid = name.trim().toLowerCase();
  return jid.includes('@') ? jid : `${jid}@${config.domain}`;
}

function faultOf(jid) {
  if (!/^[^@/\s"&'<>:]+@[^@/\s]+$/.test(jid)) {
    return `“${jid}” is not an address; try bob or bob@${config.domain}.`;
  }
  if (jid === chat.jid) return 'That is you.';
  return '';
}
