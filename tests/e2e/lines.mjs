// One JSON object on a line each way: commands from the test on standard input, events to it on standard output.
import { createInterface } from 'node:readline';

/** Tells the test of an event. */
export function tell(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

/** Does the commands one after the other, by their `do`, until the test closes standard input. */
export async function obey(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
      await commands[command.do](command);
    } catch (error) {
      tell('fault', { text: `${command.do}: ${error.stack ?? error}` });
    }
  }
}
