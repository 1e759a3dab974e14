// herald.js in Node.js. Usage: node node.mjs URL
// Commands and events: those of user.mjs; `ready`, and `fault {text}`.
import { connect } from '../../client/dist/herald.js';
import { obey, tell } from '../e2e/lines.mjs';
import { prepare } from './user.mjs';

const commands = prepare(connect, tell, process.argv[2]);
const { send } = commands;
// It takes as long as it takes, and other commands come meanwhile.
commands.send = (command) => void send(command).catch(() => {}); // the event says it
tell('ready');
await obey(commands);
process.exit(0);
