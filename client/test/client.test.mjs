// What the client does, case by case, in a world where nothing happens by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from './clock.mjs';
import { FakeServer } from './fake-server.mjs';
import { FakeWorld } from './fake-world.mjs';

/** A clock, a server, a network, and what a page hears. */
function scene() {
  const clock = new Clock();
  const server = new FakeServer(clock);
  const world = new FakeWorld(clock, server);
  const page = (options) => {
    const me = world.connect(options);
    const heard = { message: [], typing: [], presence: [], state: [], gap: [], error: [], sent: [] };
    for (const event of Object.keys(heard)) me.on(event, (value) => heard[event].push(value));
    return Object.assign(heard, { me, bodies: () => heard.message.map(({ body }) => body) });
  };
  return { clock, server, world, page };
}
const online = ({ me }) => () => me.state === 'online';

test('messages come in their order, with their numbers, and are acknowledged', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  assert.equal(alice.me.transport, 'websocket');
  assert.equal(alice.me.jid, 'alice@localhost');
  for (let n = 1; n <= 100; n += 1) server.push('alice', `m${n}`);
  await clock.run(2000);
  const wanted = Array.from({ length: 100 }, (_, n) => `${n + 1} m${n + 1}`);
  assert.deepEqual(alice.message.map(({ id, body }) => `${id} ${body}`), wanted);
  assert.deepEqual(server.heard.filter(({ t }) => t === 'ack').map(({ id }) => id), [64, 100]);
  assert.equal(alice.me.lastId, 100);
});

test('a listener that fails stops nothing, and one that was taken off hears nothing', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  const faults = [];
  const later = clock.after.bind(clock);
  clock.after = (ms, act) => later(ms, () => {
    try {
      act();
    } catch (error) {
      faults.push(error.message);
    }
  });
  alice.me.on('message', () => {
    throw new Error('of the page');
  });
  const off = alice.me.on('message', () => faults.push('heard'));
  off();
  await clock.until(online(alice));
  server.push('alice', 'a');
  server.push('alice', 'b');
  await clock.run(100);
  assert.deepEqual(alice.bodies(), ['a', 'b']);
  assert.deepEqual(faults, ['of the page', 'of the page']);
});

test('a cut link is made again within half a second, and nothing is missed', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  server.push('alice', 'before');
  await clock.run(6000);
  world.cut();
  assert.equal(alice.me.state, 'offline');
  assert.equal(alice.state.at(-1).error.code, 'network');
  assert.ok(alice.state.at(-1).retryInMs <= 500);
  server.push('alice', 'between');
  await clock.run(1000);
  server.push('alice', 'after');
  await clock.run(100);
  assert.deepEqual(alice.bodies(), ['before', 'between', 'after']);
  assert.deepEqual(server.heard.filter(({ t }) => t === 'hello').map(({ since }) => since), [undefined, 1]);
});

test('pauses grow to twenty seconds, with full jitter', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  server.up = false;
  await clock.run(600000);
  const pauses = alice.state.filter(({ state }) => state === 'offline').map(({ retryInMs }) => retryInMs);
  pauses.forEach((pause, n) => assert.ok(pause <= Math.min(20000, 500 * 2 ** n), `pause ${n} is ${pause}`));
  const late = pauses.slice(6);
  const mean = late.reduce((a, b) => a + b) / late.length;
  assert.ok(mean > 6000 && mean < 14000, `the mean is ${mean}`);
  assert.ok(Math.min(...late) < 5000 && Math.max(...late) > 15000, 'they are spread');
  server.start();
  await clock.until(online(alice));
  assert.equal(world.opened.websocket, 1);
});

test('what was sent without an answer is sent again with the same ref, and is kept once', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  const sent = alice.me.send('bob', 'hello');
  server.carryOut([...server.sessions][0], { t: 'send', to: 'bob', ref: sent.ref, body: 'hello' }); // it arrives,
  world.cut(); // and its answer does not
  const answer = await Promise.race([sent, clock.run(3000).then(() => 'none')]);
  assert.deepEqual(answer.results, [{ uid: 'bob', state: 'stored', id: 1 }]);
  assert.equal(answer.ref, sent.ref);
  assert.deepEqual(server.log('bob').map(({ body }) => body), ['hello']);
  assert.deepEqual(alice.sent.map(({ ref }) => ref), [sent.ref]);
  assert.deepEqual(alice.me.unsent, []);
});

test('after a reload the page goes on where it was, with its ticket, its resource and what was unsent', async () => {
  const { clock, server, world, page } = scene();
  const before = page();
  await clock.until(online(before));
  server.push('alice', 'one');
  await clock.run(2000);
  world.cut();
  before.me.send('bob', { body: 'said while away', json: { n: 1 } });
  world.unload(true);
  server.tokens.clear(); // it was good for one time
  server.push('alice', 'two');
  const after = page();
  assert.deepEqual(after.me.unsent.map(({ body }) => body), ['said while away']);
  await clock.run(2000);
  assert.deepEqual(after.bodies(), ['two']);
  assert.deepEqual(server.log('bob').map(({ body, json }) => [body, json]), [['said while away', { n: 1 }]]);
  const [first, second] = server.heard.filter(({ t }) => t === 'hello');
  assert.equal(first.resource, undefined);
  assert.ok(second.resource);
  assert.equal(after.sent.length, 1);
});

test('the copy of a tab takes another resource, and both hear everything', async () => {
  const { clock, server, world, page } = scene();
  const before = page();
  await clock.until(online(before));
  world.unload(true);
  const one = page();
  await clock.until(online(one));
  const other = page(); // with the same storage
  await clock.until(online(other));
  server.push('alice', 'to both');
  await clock.run(1000);
  assert.deepEqual([one.bodies(), other.bodies()], [['to both'], ['to both']]);
  assert.equal(server.of('alice').length, 2);
  assert.equal(world.opened.websocket, 3);
  assert.equal(one.me.state, 'online');
});

test('where WebSockets are blocked it polls, remembers that, and tries them again', async () => {
  for (const way of ['refused', 'hang']) {
    const { clock, server, world, page } = scene();
    world.webSockets = way;
    const alice = page();
    await clock.until(online(alice), 6000);
    assert.equal(alice.me.transport, 'longpoll');
    server.push('alice', 'polled');
    const sent = alice.me.send('bob', 'posted');
    await clock.run(500);
    assert.deepEqual(alice.bodies(), ['polled']);
    assert.equal((await sent).results[0].id, 1);
    world.unload(true);
    const again = page();
    await clock.run(200);
    assert.equal(again.me.transport, 'longpoll', 'at once, it was remembered');
    await clock.run(60000);
    const changes = again.state.length;
    world.webSockets = 'open';
    server.push('alice', 'before the change');
    await clock.until(() => again.me.transport === 'websocket', 300000);
    assert.deepEqual(again.state.slice(changes).map(({ state, transport }) => `${state} ${transport}`), ['online websocket']);
    server.push('alice', 'after the change');
    await clock.run(100);
    assert.deepEqual(again.bodies(), ['before the change', 'after the change']);
    assert.equal(server.of('alice').length, 1, 'the session of the long polls is over');
  }
});

test('without WebSockets at all it polls', async () => {
  const { clock, world, page } = scene();
  world.webSockets = 'none';
  const alice = page();
  await clock.until(online(alice), 1000);
  assert.equal(alice.me.transport, 'longpoll');
});

test('a server that does not know the protocol is told no token', async () => {
  const { clock, server, world, page } = scene();
  world.protocol = 'xmpp';
  const alice = page();
  await clock.until(online(alice), 1000);
  assert.equal(alice.me.transport, 'longpoll');
  assert.equal(server.heard.filter(({ t }) => t === 'hello').length, 1);
});

test('a dead link is found by asking, and one that lives is kept', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  await clock.run(120000);
  assert.equal(world.opened.websocket, 1);
  assert.ok(server.heard.filter(({ t }) => t === 'ping').length >= 3);
  world.hole = true;
  await clock.until(() => alice.me.state === 'offline', 40000);
  assert.equal(alice.state.at(-1).error.detail, 'the server is silent');
  server.push('alice', 'meanwhile');
  world.hole = false;
  await clock.run(30000);
  assert.deepEqual(alice.bodies(), ['meanwhile']);
});

test('a hidden tab, whose timers are late, finds a dead link too', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  world.hidden = true;
  await clock.run(600000);
  assert.equal(world.opened.websocket, 1, 'late timers alone are no reason');
  world.hole = true;
  await clock.until(() => alice.me.state !== 'online', 300000);
  world.hole = false;
  server.push('alice', 'meanwhile');
  await clock.run(300000);
  assert.deepEqual(alice.bodies(), ['meanwhile']);
});

test('after a sleep the link is asked at once', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  await clock.run(10000);
  world.hole = true; // the other end gave up long ago, and nothing says so
  clock.sleep(3600000);
  await clock.run(9000);
  assert.notEqual(alice.me.state, 'online');
  world.hole = false;
  server.push('alice', 'good morning');
  world.news('wake');
  await clock.until(() => alice.bodies().length, 10000);
  assert.deepEqual(alice.bodies(), ['good morning']);
});

test('a network that comes back is used at once', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  server.up = false;
  await clock.run(300000);
  world.offline = true;
  await clock.until(() => alice.state.at(-1).retryInMs === 20000, 60000);
  server.start();
  world.offline = false;
  world.news('online');
  await clock.run(200);
  assert.equal(alice.me.state, 'online');
});

test('a page that was put aside and comes back connects again', async () => {
  for (const webSockets of ['open', 'none']) {
    const { clock, server, world, page } = scene();
    world.webSockets = webSockets;
    const alice = page();
    await clock.until(online(alice));
    await clock.run(1000);
    world.news('leave');
    await clock.run(200);
    if (webSockets === 'none') assert.equal(server.sessions.size, 0, 'it said good-bye');
    server.push('alice', 'meanwhile');
    await clock.run(1000);
    world.news('back');
    await clock.run(1000);
    assert.equal(alice.me.state, 'online');
    assert.deepEqual(alice.bodies(), ['meanwhile']);
  }
});

test('a ticket that is refused makes it ask for a token; a token that is refused twice is the end', async () => {
  const { clock, server, world, page } = scene();
  let asked = 0;
  const token = async () => {
    asked += 1;
    return 'secret';
  };
  const alice = page({ token });
  await clock.until(online(alice));
  server.tickets.clear();
  world.cut();
  await clock.run(3000);
  assert.equal(alice.me.state, 'online');
  assert.equal(asked, 2);
  server.tickets.clear();
  server.tokens.clear();
  world.cut();
  await clock.run(10000);
  assert.equal(asked, 4);
  assert.equal(alice.me.state, 'closed');
  assert.deepEqual(alice.error.map(({ code, retry }) => [code, retry]), [['unauthorized', false]]);
  await assert.rejects(alice.me.send('bob', 'too late'), { code: 'closed' });
});

test('a string that is refused is the end; a page that has no token says so', async () => {
  const { clock, page } = scene();
  const alice = page({ token: 'wrong' });
  const nobody = page({ token: () => null });
  await clock.run(1000);
  assert.deepEqual([alice.me.state, alice.error[0].code], ['closed', 'unauthorized']);
  assert.deepEqual([nobody.me.state, nobody.error[0].code], ['closed', 'unauthorized']);
});

test('a token that could not be fetched is asked for again', async () => {
  const { clock, page } = scene();
  let asked = 0;
  const token = async () => {
    asked += 1;
    if (asked < 4) throw new Error('HTTP 502');
    return 'secret';
  };
  const alice = page({ token });
  await clock.until(online(alice), 10000);
  assert.equal(asked, 4);
  assert.deepEqual(alice.error.map(({ code, detail, retry }) => [code, detail, retry])[0], ['token', 'HTTP 502', true]);
});

test('a ticket is renewed before it ends, and nobody notices', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  const states = alice.state.length;
  await clock.run(20 * 3600000);
  assert.equal(server.heard.filter(({ t }) => t === 'hello').length, 2);
  assert.equal(alice.state.length, states);
  assert.equal(server.of('alice').length, 1);
});

test('what retention removed, and another epoch, are told as gaps', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  for (const body of ['a', 'b']) server.push('alice', body);
  await clock.run(1000);
  world.webSockets = 'hang';
  world.hole = true;
  world.cut();
  for (const body of ['c', 'd', 'e']) server.push('alice', body);
  server.remove('alice', 4);
  world.hole = false;
  await clock.run(60000);
  assert.deepEqual(alice.bodies(), ['a', 'b', 'e']);
  assert.deepEqual(alice.gap, [{ after: 2, before: 5, reason: 'retention' }]);
  world.kill();
  server.reset();
  server.start();
  server.push('alice', 'new 1');
  server.push('alice', 'new 2');
  await clock.run(30000);
  assert.deepEqual(alice.bodies().slice(3), ['new 1', 'new 2']);
  assert.deepEqual(alice.gap.slice(1), [{ after: 0, before: 1, reason: 'reset' }]);
  assert.equal(alice.me.epoch, "e1'");
});

test('what the server cannot do now is tried again; what it never will is told', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  const busy = { code: 'failed', detail: 'the store is busy', retry: true };
  server.refusals = [busy, null, busy];
  const [one, two] = [alice.me.send('bob', '1'), alice.me.send('bob', '2')];
  await clock.run(5000);
  assert.ok((await one).results && (await two).results);
  assert.deepEqual(server.log('bob').map(({ body }) => body).sort(), ['1', '2']);
  assert.deepEqual(alice.error, []);
  const carryOut = server.carryOut.bind(server);
  server.carryOut = (session, frame) => {
    server.carryOut = carryOut;
    session.tell({ t: 'sent', ref: frame.ref, results: [{ uid: 'bob', state: 'failed', sessions: 0 }] });
  };
  const three = alice.me.send('bob', '3');
  await clock.run(3000);
  assert.equal((await three).results[0].state, 'stored', 'what the store did not take is sent again');
  server.refusals = [{ code: 'no_such_user', detail: 'who?', retry: false }];
  const nobody = alice.me.send('nobody', '?');
  await clock.run(1000);
  await assert.rejects(nobody, { code: 'no_such_user', retry: false, ref: nobody.ref });
  assert.deepEqual(alice.error.map(({ ref }) => ref), [nobody.ref]);
  server.refusals = Array(6).fill(busy);
  const given = alice.me.send('bob', 'given up');
  await clock.run(30000);
  await assert.rejects(given, { code: 'failed', retry: true });
  assert.deepEqual(alice.me.unsent, []);
});

test('a frame that is too large is dropped, and the rest goes on', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  server.carryOut = function carryOut(session, frame) {
    if (frame.body?.length > 1000) return session.tell({ t: 'close', code: 'too_large', detail: '1000', retry: false });
    return FakeServer.prototype.carryOut.call(this, session, frame);
  };
  const small = alice.me.send('bob', 'small');
  const large = alice.me.send('bob', 'x'.repeat(2000));
  const last = alice.me.send('bob', 'last');
  await clock.run(3000);
  await assert.rejects(large, { code: 'too_large', retry: false });
  assert.ok((await small) && (await last));
  assert.deepEqual(server.log('bob').map(({ body }) => body), ['small', 'last']);
});

test('a server that goes down says when to come back', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  await clock.run(6000);
  server.say('alice', { t: 'close', code: 'shutdown', detail: '', retry: true, retry_after_secs: 3 });
  await clock.run(100);
  const { retryInMs, error } = alice.state.at(-1);
  assert.equal(error.code, 'shutdown');
  assert.ok(retryInMs >= 3000 && retryInMs <= 3500);
  world.webSockets = 'refused';
  world.httpStatus = 503;
  world.retryAfter = '7';
  await clock.until(() => alice.state.at(-1).error?.detail === 'HTTP 503', 10000);
  assert.ok(alice.state.at(-1).retryInMs >= 7000);
});

test('a kick is final when it says so', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  server.say('alice', { t: 'close', code: 'kicked', detail: 'by the operator', retry: false });
  await clock.run(60000);
  assert.equal(alice.me.state, 'closed');
  assert.deepEqual(alice.error.map(({ code }) => code), ['kicked']);
});

test('a resource that was chosen is not fought over', async () => {
  const { clock, page } = scene();
  const one = page({ resource: 'desk' });
  await clock.until(online(one));
  const other = page({ resource: 'desk' });
  await clock.run(60000);
  assert.equal(one.me.state, 'closed');
  assert.equal(one.error[0].code, 'conflict');
  assert.equal(other.me.state, 'online');
});

test('typing is told while somebody types, and ends by itself', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  for (let n = 0; n < 20; n += 1) {
    alice.me.typing('bob');
    await clock.run(500);
  }
  await clock.run(10000);
  const states = () => server.heard.filter(({ t, state }) => t === 'send' && state).map(({ state }) => state);
  assert.deepEqual(states(), ['composing', 'composing', 'composing', 'paused']);
  alice.me.typing('bob');
  alice.me.send('bob', 'done');
  await clock.run(10000);
  assert.deepEqual(states().slice(4), ['composing'], 'a message ends it');
  server.say('alice', { t: 'message', from: 'bob@localhost/x', uid: 'bob', kind: 'chat', state: 'composing' });
  await clock.run(100);
  assert.deepEqual(alice.typing, [{ uid: 'bob', from: 'bob@localhost/x', state: 'composing' }]);
  assert.deepEqual(alice.message, []);
});

test('people are online while one of their resources is, and gone when a new session does not tell of them', async () => {
  const { clock, server, world, page } = scene();
  const alice = page();
  await clock.until(online(alice));
  const tell = (from, on) => {
    server.say('alice', { t: 'presence', from, uid: 'bob', online: on, show: null, status: null });
  };
  tell('bob@localhost/a', true);
  tell('bob@localhost/b', true);
  tell('bob@localhost/a', false);
  await clock.run(100);
  assert.deepEqual(alice.presence.map(({ online: on, present }) => [on, present]), [[true, true], [true, true], [false, true]]);
  assert.deepEqual(alice.me.online(), ['bob']);
  world.cut();
  await clock.run(1000);
  assert.ok(alice.me.isOnline('bob'), 'nothing is known yet');
  await clock.run(6000);
  assert.ok(!alice.me.isOnline('bob'));
  assert.equal(alice.presence.at(-1).present, false);
});

test('history is asked for until it is answered', async () => {
  const { clock, server, world, page } = scene();
  server.push('alice', 'old');
  const alice = page();
  const asked = alice.me.history({ limit: 10 });
  await clock.run(20);
  world.cut();
  await clock.run(3000);
  const { items, last, complete } = await asked;
  assert.deepEqual(items.map(({ id, body }) => [id, body]), [[1, 'old']]);
  assert.deepEqual([last, complete], [1, true]);
  assert.deepEqual(alice.bodies(), [], 'without since, only what comes from now on');
});

test('since 0 brings everything that is kept', async () => {
  const { clock, server, page } = scene();
  server.push('alice', 'old');
  const alice = page({ since: 0 });
  await clock.run(1000);
  assert.deepEqual(alice.bodies(), ['old']);
});

test('subscriptions that are asked for while there is no connection go out with it', async () => {
  const { clock, server, page } = scene();
  const alice = page();
  alice.me.subscribe('bob');
  alice.me.accept('carol');
  await clock.run(1000);
  assert.deepEqual(server.heard.slice(1).map(({ t, to }) => `${t} ${to}`), ['subscribe bob', 'accept carol']);
});

test('close says good-bye, and forget leaves nothing behind', async () => {
  for (const webSockets of ['open', 'none']) {
    const { clock, server, world, page } = scene();
    world.webSockets = webSockets;
    const alice = page();
    await clock.until(online(alice));
    server.push('alice', 'a');
    await clock.run(100);
    alice.me.close({ forget: true });
    await clock.run(60000);
    assert.equal(alice.me.state, 'closed');
    assert.equal(alice.state.at(-1).error, null);
    assert.equal(server.sessions.size, 0);
    assert.equal(world.tab.items.size, 0);
    assert.equal(clock.timers.length, 0, 'nothing keeps a Node.js process from ending');
  }
});

test('without storage it works for as long as the page lives', async () => {
  const { clock, server, world, page } = scene();
  world.tab = null;
  world.all = { getItem() { throw new Error('denied'); }, setItem() { throw new Error('full'); }, removeItem() {} };
  const alice = page();
  await clock.until(online(alice));
  world.cut();
  server.push('alice', 'a');
  await clock.run(2000);
  assert.deepEqual(alice.bodies(), ['a']);
});
