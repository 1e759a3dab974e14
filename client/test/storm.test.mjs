// Whatever happens, and in whatever order: nothing is lost, nothing comes twice, everything in its order. Each seed is
// another run of misfortunes; HERALD_CLIENT_SEED=n plays one of them, HERALD_CLIENT_SEEDS=n so many.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock, dice } from './clock.mjs';
import { FakeServer } from './fake-server.mjs';
import { FakeWorld } from './fake-world.mjs';

const DOWN = 120;
const UP = 60;
const MISFORTUNES = 40;

async function storm(seed) {
  const clock = new Clock();
  const server = new FakeServer(clock);
  const world = new FakeWorld(clock, server, seed);
  const random = dice(seed ^ 0x5bd1e995);
  const roll = (n) => Math.floor(random() * n);
  const story = [];
  const got = [];
  let page;
  const load = () => {
    page = world.connect({ token: async () => 'secret' });
    page.on('message', ({ id, body }) => got.push(`${id} ${body}`));
    page.on('error', (error) => story.push(`error ${error}`));
  };
  const misfortunes = {
    kill: async () => {
      world.kill();
      await clock.run(roll(8000));
      server.start();
    },
    cut: async () => world.cut(),
    hole: async () => {
      world.hole = true;
      await clock.run(roll(40000));
      world.hole = false;
    },
    blockWebSockets: async () => {
      world.webSockets = ['refused', 'hang', 'open', 'open'][roll(4)];
      world.cut();
    },
    losePosts: async () => {
      world.lossy = random() * 0.5;
    },
    sleep: async () => {
      clock.sleep(roll(100000));
      if (roll(2)) world.news('wake');
    },
    reload: async () => {
      const goodBye = roll(2) === 1;
      if (!goodBye) await clock.run(60); // what was said a moment before a crash may be lost
      world.unload(goodBye);
      await clock.run(roll(5000));
      load();
    },
    putAside: async () => {
      world.news('leave');
      await clock.run(roll(20000));
      world.news('back');
    },
    changeNetwork: async () => {
      world.offline = true;
      world.news('offline');
      world.cut();
      await clock.run(roll(10000));
      world.offline = false;
      world.news('online');
    },
    forgetTickets: async () => server.tickets.clear(),
    repeat: async () => {
      server.repeats = roll(5);
    },
  };
  load();
  await clock.run(300);
  let down = 0;
  let up = 0;
  const traffic = () => {
    const n = roll(10);
    for (let i = 0; i < n && down < DOWN; i += 1) server.push('alice', `m${(down += 1)}`);
    const m = roll(5);
    for (let i = 0; i < m && up < UP; i += 1) page.send('bob', `u${(up += 1)}`);
  };
  for (let n = 0; n < MISFORTUNES; n += 1) {
    traffic();
    await clock.run(roll(4) ? roll(300) : roll(15000));
    const names = Object.keys(misfortunes);
    const name = names[roll(names.length)];
    story.push(`${clock.now} ${name}`);
    // While it goes on, too; but a page that is being left says nothing.
    const other = name === 'reload' || roll(3) ? null : clock.run(0).then(traffic);
    await misfortunes[name]();
    await other;
  }
  Object.assign(world, { webSockets: 'open', lossy: 0 });
  while (down < DOWN || up < UP) traffic();
  const wanted = Array.from({ length: DOWN }, (_, n) => `${n + 1} m${n + 1}`);
  const said = Array.from({ length: UP }, (_, n) => `u${n + 1}`);
  try {
    await clock.until(() => got.length >= DOWN && page.unsent.length === 0, 90000);
    await clock.run(5000);
    await clock.until(() => page.state === 'online', 60000);
    assert.deepEqual(got, wanted);
    assert.deepEqual(server.log('bob').map(({ body }) => body), said);
  } catch (error) {
    throw new Error(`HERALD_CLIENT_SEED=${seed}: ${error.message}\n${story.join('\n')}`);
  }
}

const { HERALD_CLIENT_SEED: one, HERALD_CLIENT_SEEDS: many = 200 } = process.env;
const seeds = one ? [Number(one)] : Array.from({ length: Number(many) }, (_, n) => n + 1);

test(`${seeds.length} runs of misfortunes lose nothing, double nothing and keep the order`, async () => {
  for (const seed of seeds) await storm(seed);
});
