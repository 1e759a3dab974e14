// The line between a phone and the server, made so that it can be cut: what herald.js is given for `WebSocket` and
// `fetch`. A page that has no need to be cut gives it nothing.

export class Line {
  #sockets = new Set();
  #requests = new Set();
  #cut = false;
  /** May WebSockets be opened? */
  #webSockets = true;

  constructor() {
    const line = this;
    /** For `connect({ WebSocket })`. */
    this.WebSocket = class extends WebSocket {
      constructor(url, protocol) {
        if (line.#cut || !line.#webSockets) throw new Error('the line is cut');
        super(url, protocol);
        line.#sockets.add(this);
        this.addEventListener('close', () => line.#sockets.delete(this));
      }
    };
    /** For `connect({ fetch })`. */
    this.fetch = async (url, init) => {
      if (line.#cut) throw new TypeError('the line is cut');
      const scissors = new AbortController();
      init.signal?.addEventListener('abort', () => scissors.abort());
      this.#requests.add(scissors);
      try {
        return await fetch(url, { ...init, signal: scissors.signal });
      } finally {
        this.#requests.delete(scissors);
      }
    };
  }

  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.close();
    for (const request of this.#requests) request.abort();
  }

  mend() {
    this.#cut = false;
    // What a browser says when its network is back.
    window.dispatchEvent(new Event('online'));
  }

  /** Lets WebSockets through, or not, as some proxies do. */
  allow(webSockets) {
    this.#webSockets = webSockets;
    if (!webSockets) for (const socket of this.#sockets) socket.close();
    else window.dispatchEvent(new Event('online'));
  }
}
