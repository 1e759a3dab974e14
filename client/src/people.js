// Who is online, by what presence says of their resources.

/** `tell` hears every change, and every presence. */
export function people(tell) {
  const all = new Map(); // uid -> full JID -> was it told in this session?
  const heard = ({ from, uid, online, show = null, status = null }) => {
    const resources = all.get(uid) ?? new Map();
    if (online) resources.set(from, true);
    else if (from.includes('/')) resources.delete(from);
    else resources.clear();
    if (resources.size) all.set(uid, resources);
    else all.delete(uid);
    tell({ from, uid, online, show, status, present: resources.size > 0 });
  };
  const each = (act) => all.forEach((resources, uid) => resources.forEach((told, from) => act(resources, from, uid, told)));
  return {
    _heard: heard,
    /** A session begins: whoever is there is told of again. */
    _doubt: () => each((resources, from) => resources.set(from, false)),
    /** Whoever was not told of since the doubt is gone. */
    _settle: () => each((_, from, uid, told) => told || heard({ from, uid, online: false })),
    _has: (uid) => all.has(uid),
    _all: () => [...all.keys()],
  };
}
