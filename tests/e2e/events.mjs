// Reads the stream of events as a backend in Node.js would, and tells what it hears.
//
//   node events.mjs URL TOKEN
import { EventSource } from 'eventsource';
import { tell } from './lines.mjs';

const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
source.onmessage = ({ data, lastEventId }) => tell('message', { data: JSON.parse(data), lastEventId });
source.onerror = () => tell('error');
