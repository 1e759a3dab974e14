// The user of browser.mjs, inside of the page.

/** Runs in the page, after each load: puts `user` there, whose methods are the commands. */
export async function prepare() {
  const { Strophe, $iq, $msg, $pres } = await import(`${location.origin}/node_modules/strophe.js/dist/strophe.esm.js`);
  const words = Object.fromEntries(Object.entries(Strophe.Status).map(([word, status]) => [status, word]));
  const setTimeoutHere = globalThis.setTimeout;
  let connection;
  let talk; // see `talk` below
  globalThis.user = {
    login({ service, jid, password, options }) {
      connection = new Strophe.Connection(service, options);
      connection.connect(jid, password, onStatus(begin));
    },
    /** The same with stream management (XEP-0198); when the connection is cut it is made anew, and the stream resumed. */
    manage({ service, jid, password }) {
      connection = new Strophe.Connection(service, { enableStreamManagement: true });
      let begun = false;
      const connect = () => connection.connect(jid, password, (status, condition) => {
        const word = words[status];
        if (word === 'CONNECTED' && !begun) begin();
        else if (word === 'CONNECTED' && connection.hasResumed()) listen();
        else if (word === 'CONNECTED') globalThis.tell('fault', { text: 'the stream was not resumed' });
        begun ||= word === 'CONNECTED';
        if (word === 'DISCONNECTED') setTimeoutHere(connect, 0);
        if (word === 'AUTHFAIL') globalThis.tell('fault', { text: `${word} ${condition}` });
      });
      connect();
    },
    /** Goes on with a session that another page has begun; or a backend, and then it is `fresh`. */
    attach({ service, jid, sid, rid, options, fresh }) {
      connection = new Strophe.Connection(service, options);
      connection.attach(jid, sid, rid, onStatus(fresh ? begin : goOn));
    },
    /** Goes on with the session of this page before it was loaded again. */
    restore({ service, jid, options }) {
      connection = new Strophe.Connection(service, options);
      connection.restore(jid, onStatus(goOn));
    },
    /** What Strophe.js has kept for `restore` is so many requests old: a tab that crashed, and not the last write. */
    age({ requests }) {
      const kept = JSON.parse(sessionStorage.getItem('strophe-bosh-session'));
      sessionStorage.setItem('strophe-bosh-session', JSON.stringify({ ...kept, rid: kept.rid - requests }));
    },
    session: () => globalThis.tell('session', { jid: connection.jid, sid: connection._proto.sid, rid: connection._proto.rid }),
    logout: () => connection.disconnect('bye'),
    subscribe: ({ to }) => connection.send($pres({ to, type: 'subscribe' })),
    approve: ({ to }) => connection.send($pres({ to, type: 'subscribed' })),
    send({ to, prefix, count }) {
      for (let n = 0; n < count; n += 1) say(to, `${prefix}${n}`);
    },
    /** Sends `count` messages, at most `lead` more than came: both sides so are never far from each other. */
    talk({ to, prefix, count, lead }) {
      talk = { to, prefix, count, lead, said: 0, heard: talk?.heard ?? 0 };
      goOnTalking();
    },
    /** From now on timers (of Strophe's idle rounds and its waits between tries) are so many times as fast. */
    hurry({ times }) {
      globalThis.setTimeout = (act, ms, ...rest) => setTimeoutHere(act, ms / times, ...rest);
    },
    /** From now on timers go off at whole multiples of `ms` only, as Chromium has it in a hidden tab (of a minute). */
    throttle({ ms }) {
      globalThis.setTimeout = (act, wanted, ...rest) => {
        const at = performance.now() + (wanted ?? 0);
        return setTimeoutHere(act, Math.ceil(at / ms) * ms - performance.now(), ...rest);
      };
    },
    /** Strophe.js cannot ask for a pause (XEP-0124, section 10) itself: the request is its next, sent by us. */
    async pause({ secs }) {
      connection.pause();
      const body = connection._proto._buildBody().attrs({ pause: secs });
      const response = await fetch(connection.service, { method: 'POST', body: body.toString() });
      globalThis.tell('paused', { body: await response.text() });
    },
    /** What the browser spoke to fetch this path, request by request: "h2", "http/1.1"; those it gave up left out. */
    protocols({ path }) {
      const all = performance.getEntriesByType('resource');
      const entries = all.filter((e) => new URL(e.name).pathname === path && e.responseStatus === 200);
      globalThis.tell('protocols', { protocols: entries.map((e) => e.nextHopProtocol) });
    },
  };

  function onStatus(then) {
    return (status, condition) => {
      const word = words[status];
      if (word === 'CONNECTED' || word === 'ATTACHED') then();
      if (word === 'DISCONNECTED') globalThis.tell('offline', { condition });
      // A server that is told to stop says so first (RFC 6120, 4.9.3.20; XEP-0124, 17.2), if a request waits to hear it.
      const failed = word.endsWith('FAIL') || word === 'ERROR';
      if (failed && condition !== 'system-shutdown') globalThis.tell('fault', { text: `${word} ${condition}` });
    };
  }

  function say(to, body) {
    connection.send($msg({ to, type: 'chat', id: body }).c('body').t(body));
  }

  function begin() {
    listen();
    // Only who has asked for the roster is told what becomes of subscriptions (RFC 6121, 3.1.6).
    const roster = $iq({ type: 'get' }).c('query', { xmlns: 'jabber:iq:roster' });
    connection.sendIQ(roster, () => connection.send($pres()));
  }

  // The session has its presence already.
  function goOn() {
    listen();
    globalThis.tell('restored', { jid: connection.jid });
  }

  function listen() {
    connection.addHandler(onPresence, null, 'presence');
    connection.addHandler(onMessage, null, 'message');
  }

  function onPresence(stanza) {
    const from = stanza.getAttribute('from');
    const type = stanza.getAttribute('type') ?? 'available';
    // Our own presence comes back (RFC 6121, 4.2.2): now the server has it.
    if (from === connection.jid && type === 'available') globalThis.tell('online', { jid: from });
    else globalThis.tell('presence', { from, type });
    return true;
  }

  function onMessage(stanza) {
    const body = stanza.getElementsByTagName('body')[0]?.textContent ?? null;
    const type = stanza.getAttribute('type') ?? 'normal';
    globalThis.tell('message', { from: stanza.getAttribute('from'), type, body });
    talk ??= { heard: 0, said: 0, count: 0, lead: 0 };
    talk.heard += 1;
    goOnTalking();
    return true;
  }

  function goOnTalking() {
    for (; talk.said < Math.min(talk.count, talk.heard + talk.lead); talk.said += 1) {
      say(talk.to, `${talk.prefix}${talk.said}`);
    }
  }
}
