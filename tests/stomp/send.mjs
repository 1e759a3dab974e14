// Sends to a user with @stomp/stompjs, with receipts, and says what became of it: node send.mjs URL UID PASSCODE TO
import { Client } from '@stomp/stompjs';
import { WebSocket } from 'ws';

const [url, login, passcode, to] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const long = 'x'.repeat(100_000);
const letters = [
  { destination: `/user/${to}`, body: 'plain: a\nb\\c\0d'.replace('\0', '') },
  { destination: `/user/${to}`, body: JSON.stringify({ n: 1, text: 'ü \u{1F600}' }), headers: { 'content-type': 'application/json' } },
  { destination: '/app/msg', body: JSON.stringify({ to: [to], body: 'by app', ref: 'once' }) },
  { destination: '/app/msg', body: JSON.stringify({ to: [to], body: 'by app', ref: 'once' }) },
  { destination: `/user/${to}/queue/push`, body: long },
];
const client = new Client({
  webSocketFactory: () => new WebSocket(url, ['v12.stomp']),
  connectHeaders: { login, passcode },
  splitLargeFrames: true, // a frame in several messages
  maxWebSocketChunkSize: 7_000,
  reconnectDelay: 0,
  onConnect: () => letters.forEach((letter, n) => {
    client.watchForReceipt(`r${n}`, ({ headers }) => {
      say({ n, state: headers.state, id: headers['stored-id'], repeated: headers.repeated ?? null });
      if (n === letters.length - 1) {
        client.onDisconnect = () => say({ done: true });
        client.deactivate();
      }
    });
    client.publish({ ...letter, headers: { ...letter.headers, receipt: `r${n}` } });
  }),
  onStompError: (frame) => say({ error: frame.headers.message, body: frame.body }),
});
client.activate();
