/** Timers with names: one that is set again takes the place of the one before. */
export function timers(world) {
  const set = new Map();
  const cancel = (...names) => {
    for (const name of names) {
      set.get(name)?.();
      set.delete(name);
    }
  };
  return {
    _cancel: cancel,
    _has: (name) => set.has(name),
    _set(name, ms, act) {
      cancel(name);
      const end = world._after(ms, () => {
        set.delete(name);
        act();
      });
      set.set(name, end);
    },
    _clear: () => cancel(...set.keys()),
  };
}
