// A clock that only the test moves. Between two timers everything that waits for promises gets its turn.

const settled = () => new Promise((resolve) => setImmediate(resolve));

export class Clock {
  constructor() {
    this.now = Date.parse('2026-01-01T00:00:00Z');
    this.timers = [];
    this.count = 0;
  }

  /** Calls `act` after `ms`; answers with what calls it off. */
  after(ms, act) {
    const timer = { due: this.now + Math.max(0, ms), order: (this.count += 1), act };
    this.timers.push(timer);
    return () => {
      timer.act = null;
    };
  }

  /** Lets `ms` pass. */
  async run(ms) {
    const end = this.now + ms;
    for (;;) {
      await settled();
      this.timers = this.timers.filter((timer) => timer.act);
      const [first] = this.timers.sort((a, b) => a.due - b.due || a.order - b.order);
      if (!first || first.due > end) break;
      this.now = Math.max(this.now, first.due);
      const { act } = first;
      first.act = null;
      act();
    }
    this.now = Math.max(this.now, end);
  }

  /** Lets time pass until `fits()`, `limit` ms at most. */
  async until(fits, limit = 120000) {
    const end = this.now + limit;
    while (!fits()) {
      if (this.now >= end) throw new Error(`waited in vain for ${fits}`);
      await this.run(10);
    }
  }

  /** Time passes and nobody notices: the machine sleeps. */
  sleep(ms) {
    this.now += ms;
  }
}

/** Dice with a seed (SplitMix32): numbers from 0 up to 1. */
export function dice(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
