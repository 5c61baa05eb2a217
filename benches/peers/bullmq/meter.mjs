// The no-op handler: it counts, and measures jobs that carry a timestamp.

import { converse, nowUs, reply } from './protocol.mjs';

export function startMeter(gated) {
  let done = 0;
  let firstUs = Number.MAX_SAFE_INTEGER;
  let lastUs = 0;
  let samples = { pickup_ms: [], late_ms: [] };
  let waiting = null;
  let permits = 0;
  const held = [];
  let begin;
  const began = new Promise((resolve) => {
    begin = resolve;
  });

  const answerIfReached = () => {
    if (waiting !== null && done >= waiting) {
      waiting = null;
      reply('waited', { done, first_us: firstUs, last_us: lastUs });
    }
  };
  const report = () => {
    waiting = null;
    reply('report', { done, ...samples });
    samples = { pickup_ms: [], late_ms: [] };
    firstUs = Number.MAX_SAFE_INTEGER;
  };
  const pass = (jobs) => {
    permits += jobs;
    while (permits > 0 && held.length > 0) {
      permits -= 1;
      held.shift()();
    }
  };

  converse((verb, number) => {
    if (verb === 'start') begin();
    if (verb === 'pass') pass(number);
    if (verb === 'report') report();
    if (verb === 'wait') {
      waiting = number;
      answerIfReached();
    }
  });

  return {
    async ready() {
      reply('ready', { keeps: null });
      await began;
    },

    async handle(data) {
      const now = nowUs();
      firstUs = Math.min(firstUs, now);
      if (data.sent_us > 0) samples.pickup_ms.push((now - data.sent_us) / 1000);
      if (data.due_us > 0) samples.late_ms.push((now - data.due_us) / 1000);
      if (gated) {
        if (permits > 0) permits -= 1;
        else await new Promise((resolve) => held.push(resolve));
      }
      lastUs = Math.max(lastUs, now);
      done += 1;
      answerIfReached();
    },
  };
}
