// Types of herald.js. The words are those of docs/push.md.

/** Connects a user. Handlers that are set in the same turn hear everything; nothing is thrown for what the network does. */
export function connect(options: Options): Herald;

export interface Options {
  /** Who connects: the user's id at the server, such as `"alice"`. */
  uid: string;
  /**
   * What lets the user in: a login token, a JWT, or (for tests) the password; or a function that fetches one, which is
   * called whenever a new one is needed. Once in, the client has a ticket and needs no token for about a day of absence.
   * A function that throws is asked again, after a pause, unless what it throws has `retry: false`; one that answers
   * with nothing ends the connection as `unauthorized`.
   */
  token: string | (() => string | null | undefined | Promise<string | null | undefined>);
  /** Where the server is. Default: `/herald` on the host that `herald.js` was loaded from, else on that of the page. */
  url?: string;
  /** The name of this connection among those of the user. Default: the server finds one, and a reload keeps it. */
  resource?: string;
  /** What others see, at first. `false`: they see nothing. */
  presence?: Presence | false;
  /**
   * Messages with greater ids are wanted. Default: what this tab does not have yet; in a new tab, what waits for the
   * user and what comes from now on. 0: all that is kept.
   */
  since?: number;
  /** Ways to try, in this order. Default: `["websocket", "longpoll"]`. */
  transports?: Transport[];
  /** Where ids, tickets and unsent messages outlive a reload. Default: `sessionStorage`; `null`: nowhere. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  /** A WebSocket class, where the platform has none (Node.js before 22) or another is wanted; `null`: none. */
  WebSocket?: (new (url: string, protocol: string) => any) | null;
  /** Another `fetch`. */
  fetch?: typeof fetch;
}

export type Transport = 'websocket' | 'longpoll';
export type Kind = 'chat' | 'normal' | 'headline';
export type State = 'connecting' | 'online' | 'offline' | 'closed';
export type Typing = 'active' | 'composing' | 'paused' | 'inactive' | 'gone';
/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Presence {
  show?: 'away' | 'chat' | 'dnd' | 'xa' | null;
  status?: string | null;
  /** -128 to 127. */
  priority?: number;
}

export interface Message {
  /** Its number in the user's log; absent when it is in no log, and would not have been kept. */
  id?: number;
  /** When it came: RFC 3339. */
  at: string;
  /** The sender's address, such as `"bob@example.com/phone"`. */
  from: string;
  /** The sender's uid; absent when it is no user: your backend, or the server. */
  uid?: string;
  kind: Kind;
  body?: string;
  json?: Json;
  state?: Typing;
  /** The id that its sender gave it; the `ref` of what came from a herald.js. */
  mid?: string;
  /** XML that is none of the above. */
  payload?: string;
}

/** Something to say: at least one of `body` and `json`. */
export interface Outgoing {
  body?: string;
  json?: Json;
  /** Default: `"chat"`. */
  kind?: Kind;
  state?: Typing;
}

/** What became of a message for one receiver; the words are those of `POST /api/v1/sendto`. */
export interface Result {
  uid: string;
  state: 'delivered' | 'stored' | 'dropped' | 'no_such_user' | 'full' | 'invalid' | 'refused' | 'skipped';
  sessions: number;
  /** Its number in the receiver's log. */
  id?: number;
  /** It had been sent before. */
  repeated?: boolean;
}

export interface Sent {
  ref: string;
  results: Result[];
}

export interface Page {
  items: Message[];
  /** The newest number given out so far. */
  last: number;
  /** Nothing that was asked for is missing: there are no more, and retention removed none. */
  complete: boolean;
}

/**
 * | code | retry | what it means |
 * |---|---|---|
 * | `network` | yes | the server cannot be reached, or is silent; the client tries again by itself |
 * | `shutdown` | yes | the server goes down, and says so; the client comes back by itself |
 * | `unknown_session`, `too_fast`, `slow`, `timeout`, `internal` | yes | the server ended the connection; the client comes back by itself |
 * | `token` | yes | your token function threw; it is called again after a pause. No, if it threw with `retry: false` |
 * | `unauthorized` | no | the token was refused (one from a function: twice in a row) |
 * | `conflict` | no | another connection took the `resource` that you chose |
 * | `kicked` | no | the operator ended the connection |
 * | `tls_required` | no | this server wants to be reached over `https:` |
 * | `too_many_resources` | no | the user has as many connections as one may have |
 * | `invalid` | no | a frame was not understood, or there is no transport to try |
 * | `too_large` | no | this message is too large; the connection goes on |
 * | `no_such_user` | no | nobody has this uid |
 * | `full` | yes | a thousand messages wait to be sent; or the receiver has too many waiting |
 * | `failed` | yes | the server could not do it just now. The client has tried six times; send it again, or tell the user |
 * | `closed` | no | `close()` was called, or the connection ended before there was an answer |
 */
export class HeraldError extends Error {
  code: string;
  detail?: string;
  /** Trying again may help. False: it is final. */
  retry: boolean;
  /** The message that it is about. */
  ref?: string;
}

export interface Events {
  message: Message;
  /** Somebody types, or stopped. */
  typing: { uid: string; from: string; state: Typing };
  /** A contact's resource came, changed or went; `present`: is any resource of theirs online? */
  presence: { uid: string; from: string; online: boolean; present: boolean; show: string | null; status: string | null };
  /** Somebody asks to see your presence (`subscribe`: answer with `accept`), or answered you. */
  subscription: { uid: string; from: string; kind: 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed' };
  /** `retryInMs`: when the next attempt is, for `offline`. `error`: why, for `offline` and `closed`. */
  state: { state: State; transport: Transport | null; error: HeraldError | null; retryInMs: number | null };
  /**
   * Messages that this page did not get, and cannot: ids between `after` and `before`, removed by retention; or, after a
   * `reset`, the numbers began anew. Load what your page shows from its own source.
   */
  gap: { after: number; before: number; reason: 'retention' | 'reset' };
  /** A message was taken over by the server; also one that a page before this one sent. */
  sent: Sent;
  /** About one message (it has a `ref`), about the token, or the end (`state` is `closed` then). */
  error: HeraldError;
}

export interface Herald {
  readonly uid: string;
  /** This connection's address; `null` before it was first online. */
  readonly jid: string | null;
  readonly state: State;
  readonly transport: Transport | null;
  /** The newest message that this page has. */
  readonly lastId: number | null;
  /** Numbers mean something within one epoch. */
  readonly epoch: string | null;
  /** What was sent and is not acknowledged yet, a reload before included. */
  readonly unsent: Array<Outgoing & { ref: string; to: string | string[] }>;

  /** Calls `listener` from now on; what it answers with ends that. */
  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void;
  off<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): void;

  /**
   * Sends a message; at once, or as soon as there is a connection, over reloads too. Resolves when the server has it: once,
   * however often it had to be sent. Rejects with a HeraldError when that is hopeless. Its `ref` names it in events.
   */
  send(to: string | string[], what: string | Outgoing): Promise<Sent> & { ref: string };
  /** Reads the log: after `since` upwards, or before `before`; `reverse`: newest first. At most `limit` at a time. */
  history(slice?: { since?: number; before?: number; limit?: number; reverse?: boolean }): Promise<Page>;

  /** Asks to see somebody's presence. */
  subscribe(uid: string): void;
  /** Lets somebody see yours. */
  accept(uid: string): void;
  unsubscribe(uid: string): void;
  setPresence(presence: Presence): void;
  /** Call it at every key: the rest is done for you. `false`: they stopped. */
  typing(to: string, on?: boolean): void;
  /** Is a contact online, as far as was told? */
  isOnline(uid: string): boolean;
  /** The contacts who are. */
  online(): string[];

  /** Says good-bye and stops. `forget`: keeps nothing in this tab, as for a logout; else unsent messages wait for the next. */
  close(options?: { forget?: boolean }): void;
}
