// What the client needs of the world around it: a clock, dice, timers, a network, places to keep things, and news of
// the page. Tests bring a world of their own, in which time jumps and networks fail.

/** The real world, where `options` leave it to us. */
export function realWorld(options) {
  const { window, document, navigator } = globalThis;
  // A page may be forbidden to keep anything; to ask is an error then.
  const storage = (name) => {
    try {
      return options.storage === undefined ? window?.[name] : options.storage;
    } catch {
      return null;
    }
  };
  return {
    _now: () => Date.now(),
    _random: () => Math.random(),
    /** Calls `act` after `ms`; answers with what calls it off. */
    _after(ms, act) {
      const timer = setTimeout(act, ms);
      return () => clearTimeout(timer);
    },
    _WebSocket: options.WebSocket === undefined ? globalThis.WebSocket : options.WebSocket,
    _fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    /** Of this tab, and still there after a reload. */
    _storage: storage('sessionStorage'),
    /** Of all tabs: which transport works here. */
    _memory: storage('localStorage'),
    _isOffline: () => navigator?.onLine === false,
    /** Tells 'online' and 'offline' (the network), 'wake' (we may have slept), 'leave' and 'back' (the page). */
    _watch(tell) {
      const ends = [];
      const on = (target, event, news) => {
        if (!target?.addEventListener) return;
        const listener = (e) => {
          const said = news(e);
          if (said) tell(said);
        };
        target.addEventListener(event, listener);
        ends.push(() => target.removeEventListener(event, listener));
      };
      on(window, 'online', () => 'online');
      on(window, 'offline', () => 'offline');
      on(window, 'pagehide', () => 'leave');
      on(window, 'pageshow', (e) => e.persisted && 'back');
      on(document, 'visibilitychange', () => document.visibilityState === 'visible' && 'wake');
      on(document, 'resume', () => 'wake');
      on(navigator?.connection, 'change', () => 'wake');
      return () => ends.forEach((end) => end());
    },
  };
}
