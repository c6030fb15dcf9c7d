//! GPU engines for tests. Tests that use them are ignored unless `scripts/test` includes them.

use std::sync::{Arc, Once};

use bngpu::engine::Engine;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions};
use bngpu::population::Population;
use bngpu::step::memory::Table;

use super::probe::{Probe, Single};

/// The first adapter of the machine; `BNGPU_TEST_ADAPTER` selects another by a part of its name.
pub fn adapter() -> wgpu::Adapter {
    static SAY: Once = Once::new();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let wanted = std::env::var("BNGPU_TEST_ADAPTER").unwrap_or_default().to_lowercase();
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    let found = adapters.into_iter().find(|a| a.get_info().name.to_lowercase().contains(&wanted));
    let found = found.expect("a GPU adapter; install a software one: apt install mesa-vulkan-drivers");
    let info = found.get_info();
    SAY.call_once(|| eprintln!("GPU tests run on: {} ({})", info.name, info.backend));
    found
}

/// A fresh device with the given options on the test adapter.
pub fn device(options: GpuOptions) -> Arc<Device> {
    Arc::new(Device::open(&adapter(), options).unwrap_or_else(|e| panic!("{e}")))
}

/// An engine with the given options on the test adapter.
pub fn engine(population: &Arc<Population>, table: &Arc<Table>, options: GpuOptions) -> GpuEngine {
    GpuEngine::new(device(options), population.clone(), table.clone()).unwrap_or_else(|e| panic!("{e}"))
}

/// Checked shaders and the limits of every WebGPU adapter.
pub fn strict() -> GpuOptions {
    GpuOptions { checked: true, default_limits: true, ..GpuOptions::default() }
}

/// For suites that take a `Make`.
pub fn make(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    Box::new(engine(&population, &table, strict()))
}

/// For suites that take a `MakeProbe`.
pub fn probe(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Probe> {
    Box::new(Single::new(make(population.clone(), table), population))
}
