// Every kernel through Tint, the WGSL compiler of Chrome: a module without a message, and a pipeline.
//
//   node tint.mjs KERNELS.json RESULT.json PACKAGE
//
// PACKAGE is the folder of npm's `webgpu` (Dawn for Node). The driver is what the Vulkan loader finds; a kernel that binds
// more storage buffers than its adapter allows gets a module alone, and the result says so.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [kernelsFile, resultFile, packageFolder] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(join(packageFolder, 'index.js')).href);
Object.assign(globalThis, globals);

// Dawn ends with this object: something must hold it.
const gpu = create(['backend=vulkan']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('Dawn finds no Vulkan adapter');
const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize } = adapter.limits;
const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('subgroups') ? ['subgroups'] : [],
    requiredLimits: { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize },
});

async function compile(kernel) {
    const text = readFileSync(join(dirname(kernelsFile), kernel.wgsl), 'utf8');
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: text });
    const { messages } = await module.getCompilationInfo();
    const refused = await device.popErrorScope();
    if (messages.length > 0 || refused) {
        const said = messages.map((m) => `${m.type} ${m.lineNum}:${m.linePos} ${m.message}`).join('; ');
        return { error: said || refused.message };
    }
    const storage = kernel.bindings.filter((b) => b.kind !== 'uniform').length;
    if (storage > maxStorageBuffersPerShaderStage) return { partly: `a module; ${storage} storage buffers are too many here` };
    const groups = [0, 1].map((group) =>
        device.createBindGroupLayout({
            entries: kernel.bindings
                .filter((b) => b.group === group)
                .map((b) => ({
                    binding: b.binding,
                    visibility: GPUShaderStage.COMPUTE,
                    buffer: { type: b.kind, hasDynamicOffset: b.kind === 'uniform' },
                })),
        }),
    );
    device.pushErrorScope('validation');
    device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: groups }),
        compute: { module, entryPoint: 'main', constants: kernel.constants },
    });
    const error = await device.popErrorScope();
    return error ? { error: error.message } : {};
}

const kernels = JSON.parse(readFileSync(kernelsFile, 'utf8')).filter((kernel) => !kernel.f16);
const results = {};
for (const kernel of kernels) {
    const start = performance.now();
    const found = await compile(kernel);
    results[kernel.name] = { seconds: (performance.now() - start) / 1000, ...found };
}
const { description, device: name } = adapter.info;
writeFileSync(resultFile, JSON.stringify({ compiler: `Tint (Dawn on ${description || name})`, results }, null, 1));
device.destroy();
