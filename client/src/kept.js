// What outlives a reload: where we are in the log, the ticket, what is not acknowledged yet, and, for all tabs,
// whether WebSockets work here. Storage may be missing or full: then it is remembered for as long as the page lives.

const SAVE_MS = 50;

/** The memory of one user at one server. */
export function kept(world, url, uid) {
  const name = (what) => `herald:${uid}@${url}:${what}`;
  const way = `herald:way@${url}`;
  const read = (storage, key) => {
    try {
      return JSON.parse(storage.getItem(key));
    } catch {
      return null;
    }
  };
  const write = (storage, key, value) => {
    try {
      if (value) storage.setItem(key, JSON.stringify(value));
      else storage.removeItem(key);
    } catch {
      // full, forbidden or not there
    }
  };
  const { _storage: tab, _memory: all } = world;
  let saving;
  let unsent;
  const me = {
    /** `{since, epoch, ticket, expires}`, each of them perhaps missing. */
    _place: read(tab, name('place')) ?? {},
    /** The resource is this tab's alone: the copy of a tab finds none, and the tab it comes from keeps its own. */
    _resource: read(tab, name('resource')),
    /** Frames that a page before this one could not get acknowledged. */
    _unsent: read(tab, name('unsent')) ?? [],
    /** `{until, times}`: until then WebSockets are not tried, after so many failures. */
    _blocked: read(all, way) ?? { until: 0, times: 0 },
    _at(place) {
      Object.assign(me._place, place);
      write(tab, name('place'), me._place);
    },
    _block(until, times) {
      me._blocked = { until, times };
      write(all, way, times && me._blocked);
    },
    /** Keeps what `frames` answers with, in a moment: many sends are one write. */
    _keep(frames) {
      unsent = frames;
      saving ??= world._after(SAVE_MS, me._flush);
    },
    /** Writes what waits to be written. */
    _flush() {
      saving?.();
      saving = null;
      const frames = unsent?.() ?? [];
      if (unsent) write(tab, name('unsent'), frames[0] && frames);
    },
    /** The page goes, and this is its resource, for the next one in this tab; or it is back, and it is `null`. */
    _leave(resource) {
      me._flush();
      write(tab, name('resource'), resource);
    },
    _forget() {
      me._place = {};
      for (const what of ['place', 'resource', 'unsent']) write(tab, name(what));
    },
  };
  write(tab, name('resource'));
  return me;
}
