// One WebSocket that speaks herald.v1: a frame is one text message.

import { HeraldError, unreachable } from './error.js';

const PROTOCOL = 'herald.v1';
const SERVICE_RESTART = 1012;

/**
 * Opens one. `told._open()`, `told._frame(frame)` and, once and as the last, `told._down(error)` are called; nothing
 * after `_close()`.
 */
export function webSocket(world, url, told) {
  let over = false;
  const down = (error) => {
    if (over) return;
    over = true;
    told._down(error);
  };
  let socket;
  try {
    socket = new world._WebSocket(url.replace(/^http/, 'ws'), PROTOCOL);
    socket.onopen = () => {
      if (over) return;
      // A server that does not know the protocol is not told a token.
      if (socket.protocol === PROTOCOL) return told._open();
      down(unreachable(`no ${PROTOCOL} there`));
      socket.close();
    };
    socket.onmessage = ({ data }) => {
      if (!over) told._frame(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      down(code === SERVICE_RESTART ? new HeraldError('shutdown', '', true) : unreachable(`WebSocket ${code}`));
    };
    socket.onerror = () => {}; // the close says it
  } catch (error) {
    world._after(0, () => down(unreachable(error)));
  }
  const send = (frame) => {
    if (!over && socket?.readyState === 1) socket.send(JSON.stringify(frame));
  };
  return {
    _kind: 'websocket',
    _send: send,
    /** Ends it. A `bye` may go before. */
    _close(bye) {
      if (bye) send({ t: 'bye' });
      over = true;
      try {
        socket.close();
      } catch {
        // never opened
      }
    },
  };
}
