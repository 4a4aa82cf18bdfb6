// Plants a hot function into a Node server that parses its messages as JSON, and measures its share of the CPU time.
//
//     PLANTED_FILE=FILE node --import ./planted.mjs server.mjs
//
// FILE receives the CPU seconds in the planted function, and in the whole process since the first message.

import { writeFileSync } from 'node:fs';

const parse = JSON.parse;
let first = null;
let hot = 0;

function plantedHotFunction(rounds) {
  let total = 0;
  for (let i = 0; i < rounds; i += 1) total += Math.sqrt(i % 1000);
  return total;
}

function otherWork(rounds) {
  let total = 0;
  for (let i = 0; i < rounds; i += 1) total += Math.sqrt(i % 1000);
  return total;
}

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

JSON.parse = (text, ...rest) => {
  const before = cpuSeconds();
  first ??= before;
  plantedHotFunction(8e6);
  const after = cpuSeconds();
  hot += after - before;
  otherWork(4e6);
  writeFileSync(process.env.PLANTED_FILE, `${hot} ${cpuSeconds() - first}`);
  return parse(text, ...rest);
};
