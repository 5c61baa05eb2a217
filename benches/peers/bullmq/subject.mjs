// BullMQ with its defaults and ioredis, the client its documentation leads with: completed jobs are kept, locks last 30 s.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

import { add } from './add.mjs';
import { startMeter } from './meter.mjs';
import { command } from './protocol.mjs';

const QUEUE = 'bench';

const options = command();
const connection = new Redis(options.redis, { maxRetriesPerRequest: null });

if (options.verb === 'add') {
  await add(new Queue(QUEUE, { connection }), options);
} else {
  const meter = startMeter(options.gated === true);
  const worker = new Worker(QUEUE, (job) => meter.handle(job.data), {
    connection,
    concurrency: Number(options.slots),
    autorun: false,
  });
  worker.on('error', (error) => console.error(error));
  await worker.waitUntilReady();
  await meter.ready();
  await worker.run();
}
