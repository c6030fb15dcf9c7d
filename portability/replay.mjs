#!/usr/bin/env node
// Repeats a recorded step (`cargo run --example record_step`) in Dawn, the WebGPU of Chromium, and compares the bits.
//
//   node portability/replay.mjs TRACE [--each] [--control] [--package PATH] [--dawn OPTION]...
//
// --each      also shows each dispatch by itself
// --control   also changes a bit of a weight, and a constant; both changes must be found
// --package   where npm's `webgpu` package is, if it is not installed here (or BNGPU_WEBGPU)
// --dawn      an option for Dawn, such as enable-dawn-features=dump_shaders
//
// The driver is Vulkan's choice: set VK_ICD_FILENAMES to that of the recording. Exits with 1 where bits differ, with 2
// where the trace cannot be played.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { parse, replay } from './trace.mjs';

// The first training of a trace with one change, which must show.
const CONTROLS = {
  'a bit of a weight': (header, words) => {
    const params = header.buffers.findIndex(({ name }) => name === 'the parameters');
    words(params, header.parts[0].before[params])[0] ^= 1 << 22;
  },
  'a constant': (header) => {
    header.kernels.find(({ name }) => name === 'record training').constants.TRAIN = 0;
  },
};

// Whether every change is found.
async function control(gpu, file) {
  let all = true;
  for (const [what, change] of Object.entries(CONTROLS)) {
    const { header, words } = parse(file.slice());
    header.parts = header.parts.filter(({ name }) => name === 'train').slice(0, 1);
    change(header, words);
    const { same, lines } = await replay(await gpu.requestAdapter(), { header, words });
    console.log(`control: ${what} changed: ${same ? 'NOT FOUND' : 'found'}, ${lines.at(-1)}`);
    all &&= !same;
  }
  return all;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      each: { type: 'boolean' },
      control: { type: 'boolean' },
      package: { type: 'string', default: process.env.BNGPU_WEBGPU },
      dawn: { type: 'string', multiple: true, default: [] },
    },
  });
  if (positionals.length !== 1) throw new Error('usage: replay.mjs TRACE [--each] [--control] [--package PATH] [--dawn OPTION]...');
  const where = values.package ? pathToFileURL(resolve(values.package, 'index.js')) : 'webgpu';
  const { create, globals } = await import(where);
  Object.assign(globalThis, globals);
  const gpu = create(['backend=vulkan', ...values.dawn]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn finds no Vulkan adapter');
  const { buffer, byteOffset, byteLength } = readFileSync(positionals[0]);
  const file = buffer.slice(byteOffset, byteOffset + byteLength);
  const trace = parse(file);
  const { device, driver } = trace.header;
  console.log(`recorded on ${device}, ${driver}`);
  console.log(`replayed on ${adapter.info.description || adapter.info.device}, ${adapter.info.vendor}`);
  const { same, lines } = await replay(adapter, trace, { each: values.each });
  console.log(lines.join('\n'));
  return same && (!values.control || (await control(gpu, file))) ? 0 : 1;
}

// `exit`, because Dawn's threads keep Node alive.
main().then((code) => process.exit(code), (error) => {
  console.error(error.message);
  process.exit(2);
});
