// Adding jobs in the rhythm the driver asks for.

import { setTimeout as sleep } from 'node:timers/promises';

import { converse, nowUs, payload, reply } from './protocol.mjs';

export async function add(queue, options) {
  const jobs = Number(options.jobs);
  const tasks = Number(options.tasks ?? 100);
  const chunk = Number(options.chunk ?? 1000);
  const everyMs = Number(options['every-ms'] ?? 20);
  const modes = {
    bulk: (count) => bulk(queue, count, chunk),
    concurrent: (count) => concurrent(queue, count, tasks),
    single: (count) => single(queue, count),
    paced: (count) => paced(queue, count, everyMs),
    delayed: (count) => delayed(queue, count),
  };

  const started = new Promise((resolve) => {
    converse((verb) => verb === 'start' && resolve());
  });
  const stamped = options.mode === 'paced' || options.mode === 'delayed';
  await (stamped ? modes.single : modes[options.mode])(Number(options.warmup ?? 0));
  reply('ready', { keeps: null });
  await started;

  const firstUs = nowUs();
  await modes[options.mode](jobs);
  reply('added', { jobs, seconds: (nowUs() - firstUs) / 1e6, first_us: firstUs });
  await queue.close();
  process.exit(0);
}

async function bulk(queue, count, chunk) {
  for (let left = count; left > 0; left -= chunk) {
    const jobs = Array.from({ length: Math.min(left, chunk) }, () => ({ name: 'noop', data: payload() }));
    await queue.addBulk(jobs);
  }
}

async function concurrent(queue, count, tasks) {
  const share = (task) => Math.floor(count / tasks) + (task < count % tasks ? 1 : 0);
  await Promise.all(Array.from({ length: tasks }, (_, task) => single(queue, share(task))));
}

async function single(queue, count) {
  for (let job = 0; job < count; job += 1) {
    await queue.add('noop', payload());
  }
}

async function paced(queue, count, everyMs) {
  for (let job = 0; job < count; job += 1) {
    await Promise.all([queue.add('noop', payload(nowUs())), sleep(everyMs)]);
  }
}

// Delays spread evenly over half a second to one and a half.
async function delayed(queue, count) {
  for (let job = 0; job < count; job += 1) {
    const delay = Math.round(500 + (1000 * job) / count);
    await queue.add('noop', payload(0, nowUs() + delay * 1000), { delay });
  }
}
