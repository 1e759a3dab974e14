// Follows /user/queue/push with @stomp/stompjs until it has seen so many different bodies, through whatever happens to
// the server, and says what it saw: node client.mjs URL_FILE UID PASSCODE HOW_MANY ACK
import { readFile } from 'node:fs/promises';
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

const [urlFile, login, passcode, howMany, ack] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const seen = [];
let lastId = null; // what a page would keep in its storage
let connects = 0;

const client = new Client({
  webSocketFactory: () => new WebSocket(url, ['v12.stomp', 'v11.stomp', 'v10.stomp']),
  connectHeaders: { login, passcode },
  reconnectDelay: 50,
  heartbeatIncoming: 1000,
  heartbeatOutgoing: 1000,
  // The server has other ports when it comes back.
  beforeConnect: async () => { url = (await readFile(urlFile, 'utf8')).trim(); },
  onConnect: (frame) => {
    connects += 1;
    say({ connected: connects, version: frame.headers.version, name: frame.headers['user-name'] });
    const headers = { ack, ...(lastId === null ? {} : { 'last-id': lastId }), receipt: `r${connects}` };
    client.watchForReceipt(`r${connects}`, () => say({ subscribed: connects }));
    client.subscribe('/user/queue/push', (message) => {
      const id = Number(message.headers['message-id']);
      if (Number.isNaN(id)) throw new Error(`no number: ${JSON.stringify(message.headers)}`);
      seen.push({ id, body: message.body });
      lastId = String(id);
      if (ack !== 'auto') message.ack();
      if (seen.length % 50 === 0) say({ seen: seen.length });
      if (new Set(seen.map((one) => one.body)).size === Number(howMany)) done();
    }, headers);
  },
  onStompError: (frame) => say({ error: frame.headers.message, body: frame.body }),
});
let url;
client.activate();

function done() {
  const ids = seen.map((one) => one.id);
  const inOrder = ids.every((id, n) => n === 0 || id > ids[n - 1]);
  client.onDisconnect = () => { say({ done: seen.map((one) => one.body), inOrder, connects }); };
  client.deactivate();
}
