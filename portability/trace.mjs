// Plays a trace of bngpu (src/engine/gpu/trace.rs has the format) in any WebGPU, and compares the bits.
//
// Needs nothing but the standard API: it runs in Node and in a page.

const NOW = 0;

// The trace in an ArrayBuffer.
export function parse(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  if (header.format !== 'bngpu trace 1') throw new Error(`unknown format: ${header.format}`);
  const words = (buffer, at) => new Uint32Array(file, 8 + length + at, header.buffers[buffer].size / 4);
  return { header, words };
}

// The device that a trace needs.
export async function openDevice(adapter, { header }) {
  const { subgroupMinSize, subgroupMaxSize } = adapter.info;
  const size = header.subgroup_size;
  if (size && (subgroupMinSize !== size || subgroupMaxSize !== size)) {
    throw new Error(`the trace needs subgroups of ${size}, here are ${subgroupMinSize} to ${subgroupMaxSize}`);
  }
  const device = await adapter.requestDevice({
    requiredFeatures: header.features,
    requiredLimits: header.limits,
  });
  device.addEventListener?.('uncapturederror', ({ error }) => console.error(error.message));
  return device;
}

// Runs `make`; a validation error in it is thrown.
async function scoped(device, what, make) {
  device.pushErrorScope('validation');
  const made = await make();
  const error = await device.popErrorScope();
  if (error) throw new Error(`${what}: ${error.message}`);
  return made;
}

// Compiles a kernel; warnings count as errors.
async function compile(device, nowLayout, kernel) {
  const module = device.createShaderModule({ label: kernel.name, code: kernel.wgsl });
  const { messages } = await module.getCompilationInfo();
  for (const { type, lineNum, linePos, message } of messages) {
    console.error(`${kernel.name}:${lineNum}:${linePos}: ${type}: ${message}`);
  }
  if (messages.some(({ type }) => type !== 'info')) throw new Error(`the kernel '${kernel.name}' is refused`);
  const layout = device.createBindGroupLayout({
    entries: kernel.bindings.map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    })),
  });
  const pipeline = await device.createComputePipelineAsync({
    label: kernel.name,
    layout: device.createPipelineLayout({ bindGroupLayouts: [nowLayout, layout] }),
    compute: { module, entryPoint: 'main', constants: kernel.constants },
  });
  return { layout, pipeline };
}

// A trace on a device.
export class Player {
  // Compiles the kernels and makes the buffers.
  static async of(device, trace) {
    return scoped(device, 'the trace', async () => {
      const player = new Player();
      Object.assign(player, { device, trace });
      const { buffers, kernels } = trace.header;
      const nowLayout = device.createBindGroupLayout({
        entries: [{
          binding: 0,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: 16 },
        }],
      });
      player.kernels = [];
      for (const kernel of kernels) player.kernels.push(await compile(device, nowLayout, kernel));
      const copies = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      player.buffers = buffers.map(({ name, size, usage }) =>
        device.createBuffer({ label: name, size, usage: copies | GPUBufferUsage[usage.toUpperCase()] }));
      player.nowGroup = device.createBindGroup({
        layout: nowLayout,
        entries: [{ binding: 0, resource: { buffer: player.buffers[NOW], size: 16 } }],
      });
      return player;
    });
  }

  // Plays a part in one submit; gives the contents of all buffers after it, and how many words the part changes.
  async play(part) {
    part.before.forEach((at, buffer) => this.write(buffer, at));
    await scoped(this.device, part.name, () => this.submit(part.dispatches));
    const all = part.before.map((at, buffer) => ({ buffer, at }));
    for (const { after } of part.dispatches) {
      for (const contents of after) all[contents.buffer] = contents;
    }
    const results = await this.compare(all);
    return results.map((result, buffer) => {
      const [before, after] = [part.before[buffer], all[buffer].at].map((at) => this.trace.words(buffer, at));
      return { ...result, changed: after.reduce((sum, word, at) => sum + (word !== before[at]), 0) };
    });
  }

  // Plays a part dispatch by dispatch, each on the recorded contents; gives what each may have written.
  async playEach(part) {
    const now = [...part.before];
    const found = [];
    now.forEach((at, buffer) => this.write(buffer, at));
    for (const dispatch of part.dispatches) {
      await scoped(this.device, part.name, () => this.submit([dispatch]));
      found.push(await this.compare(dispatch.after));
      for (const { buffer, at } of dispatch.after) this.write(buffer, at);
    }
    return found;
  }

  write(buffer, at) {
    this.device.queue.writeBuffer(this.buffers[buffer], 0, this.trace.words(buffer, at));
  }

  submit(dispatches) {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { kernel, now, bindings, grid } of dispatches) {
      const { layout, pipeline } = this.kernels[kernel];
      const entries = bindings.map(({ buffer, offset, size }, binding) =>
        ({ binding, resource: { buffer: this.buffers[buffer], offset, size } }));
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, this.nowGroup, [now]);
      pass.setBindGroup(1, this.device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    this.device.queue.submit([encoder.finish()]);
  }

  // Compares buffers with recorded contents, word by word.
  async compare(contents) {
    const size = contents.reduce((sum, { buffer }) => sum + this.buffers[buffer].size, 0);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.device.createBuffer({ size, usage });
    const encoder = this.device.createCommandEncoder();
    let to = 0;
    for (const { buffer } of contents) {
      const { size } = this.buffers[buffer];
      encoder.copyBufferToBuffer(this.buffers[buffer], 0, staging, to, size);
      to += size;
    }
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const all = staging.getMappedRange();
    let from = 0;
    const results = contents.map(({ buffer, at }) => {
      const { name, size } = this.trace.header.buffers[buffer];
      const [expected, got] = [this.trace.words(buffer, at), new Uint32Array(all, from, size / 4)];
      from += size;
      const result = { buffer: name, bytes: size, different: 0, first: '' };
      for (let word = 0; word < expected.length; word++) {
        if (expected[word] === got[word]) continue;
        if (result.different === 0) result.first = `[${word}] ${show(expected[word])} -> ${show(got[word])}`;
        result.different++;
      }
      return result;
    });
    staging.destroy();
    return results;
  }
}

// A word as bits and as a float.
function show(word) {
  const float = new Float32Array(Uint32Array.of(word).buffer)[0];
  return `${word.toString(16).padStart(8, '0')} (${float.toPrecision(9)})`;
}

// A table, as lines; `head` has the names of its columns, the numbers among them are aligned to the right.
export function table(head, rows) {
  const all = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const isNumber = head.map((_, column) => typeof rows[0]?.[column] === 'number');
  const cell = (text, at) => (isNumber[at] ? text.padStart(widths[at]) : text.padEnd(widths[at]));
  return all.map((row) => row.map(cell).join('  ').trimEnd());
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// Plays all parts on `adapter`; gives the lines of a report, and whether all bits are those of the trace.
//
// Where they are not, and where `each` is true, each dispatch is played by itself, too.
export async function replay(adapter, trace, { each = false } = {}) {
  const { header } = trace;
  const device = await openDevice(adapter, trace);
  const player = await Player.of(device, trace);
  const rows = [];
  for (const part of header.parts) {
    const of = `${part.name}, ${part.dispatches.length} dispatches`;
    rows.push(...(await player.play(part)).map((result) => ({ of, ...result })));
  }
  const shown = rows.filter((row) => row.changed > 0 || row.different > 0);
  const lines = [
    `${header.kernels.length} kernels compiled without a warning`,
    ...table(
      ['part', 'buffer', 'bytes', 'words written anew', 'different', 'first: expected -> got'],
      shown.map((row) => [row.of, row.buffer, row.bytes, row.changed, row.different, row.first]),
    ),
  ];
  const different = sum(rows.map((row) => row.different));
  if (different > 0 || each) {
    const steps = [];
    for (const part of header.parts) {
      const found = await player.playEach(part);
      found.forEach((results, at) => {
        const kernel = header.kernels[part.dispatches[at].kernel].name;
        const some = results.filter((result) => each || result.different > 0);
        steps.push(...some.map((r) => [part.name, at, kernel, r.buffer, r.different, r.first]));
      });
    }
    const head = ['part', 'dispatch', 'kernel', 'buffer', 'different', 'first: expected -> got'];
    lines.push('', 'each dispatch, on the recorded contents:', ...table(head, steps));
  }
  const words = sum(rows.map((row) => row.bytes / 4));
  lines.push('', different > 0 ? `${different} of ${words} words differ` : `all ${words} words are the same`);
  device.destroy();
  return { same: different === 0, lines };
}
