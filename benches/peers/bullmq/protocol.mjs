// The protocol between the benchmark's driver and a subject, as in ../subject, for subjects written in JavaScript.

import { createInterface } from 'node:readline';

const PAYLOAD_BYTES = 100;

export function nowUs() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

// 100 bytes as JSON whatever the timestamps are; 0 asks for no measurement.
export function payload(sentUs = 0, dueUs = 0) {
  const bare = { sent_us: sentUs, due_us: dueUs, pad: '' };
  return { ...bare, pad: 'x'.repeat(PAYLOAD_BYTES - JSON.stringify(bare).length) };
}

export function reply(event, fields) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

// Calls `answer(verb, number)` for each line. The process ends with its standard input.
export function converse(answer) {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const [verb, number] = line.trim().split(/\s+/);
    answer(verb, Number(number ?? 0));
  });
  lines.on('close', () => process.exit(0));
}

// `subject add --mode bulk --jobs 10` gives { verb: 'add', mode: 'bulk', jobs: '10' }.
export function command() {
  const [verb, ...rest] = process.argv.slice(2);
  const options = { verb };
  for (let at = 0; at < rest.length; at += 1) {
    const name = rest[at].replace(/^--/, '');
    const isFlag = rest[at + 1] === undefined || rest[at + 1].startsWith('--');
    options[name] = isFlag ? true : rest[(at += 1)];
  }
  return options;
}
