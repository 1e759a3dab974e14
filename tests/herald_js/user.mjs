// A user of herald.js, in a page or in Node.js: does commands, tells events, remembers what it got.

/** `connect` is herald.js's; `tell(event, fields)` tells the test. Runs in pages too: it closes over nothing. */
export function prepare(connect, tell, url) {
  // A page that is loaded anew remembers what the one before it got: the test wants to see all of it.
  const storage = globalThis.sessionStorage;
  const got = JSON.parse(storage?.getItem('got') ?? '[]');
  globalThis.addEventListener?.('pagehide', () => storage.setItem('got', JSON.stringify(got)));
  let me;
  const listen = () => {
    me.on('message', ({ id, body }) => {
      got.push([id, body]);
      if (got.length % 100 === 0) tell('progress', { count: got.length });
    });
    me.on('state', ({ state, transport, error }) => tell('state', { state, transport, code: error?.code ?? null }));
    me.on('gap', (gap) => tell('gap', gap));
    me.on('error', ({ code, detail, ref }) => tell('trouble', { code, detail: detail ?? null, ref: ref ?? null }));
    me.on('typing', ({ uid, state }) => tell('typing', { uid, state }));
    me.on('presence', ({ uid, online, present, show }) => tell('presence', { uid, online, present, show }));
    me.on('subscription', ({ uid, kind }) => tell('subscription', { uid, kind }));
  };
  return {
    connect({ uid, token, options }) {
      me = connect({ uid, token, url, ...options });
      listen();
    },
    /** Sends numbered messages, with at most `lead` of them unanswered. */
    async send({ to, prefix, from, until, lead }) {
      const waiting = new Set();
      for (let n = from; n < until; n += 1) {
        const sent = me.send(to, { body: `${prefix}${n}`, json: { n } });
        waiting.add(sent);
        sent.finally(() => waiting.delete(sent)).catch(() => {});
        if (n + 1 === from + lead) tell('begun', { from });
        if (waiting.size >= lead) await Promise.race(waiting);
      }
      await Promise.all(waiting);
      tell('sent', { until });
    },
    /** Tells when it has got so many. */
    reach({ count }) {
      const look = () => {
        if (got.length < count) return false;
        tell('reached', { count: got.length });
        return true;
      };
      if (look()) return;
      const off = me.on('message', () => look() && off());
    },
    report: () => tell('report', { got, state: me.state, transport: me.transport, unsent: me.unsent.length, epoch: me.epoch }),
    async history({ slice }) {
      const { items, last, complete } = await me.history(slice);
      tell('history', { ids: items.map(({ id }) => id), bodies: items.map(({ body }) => body), last, complete });
    },
    typing: ({ to, on }) => me.typing(to, on),
    presence: ({ presence }) => me.setPresence(presence),
    subscribe: ({ to }) => me.subscribe(to),
    accept: ({ to }) => me.accept(to),
    close: ({ forget }) => me.close({ forget }),
  };
}
