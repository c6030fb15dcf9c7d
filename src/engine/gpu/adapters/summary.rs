//! One adapter: its kind, limits and features, and whether the kernels run on it.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use super::super::tiles::Cooperative;

/// Name and version of an adapter's driver.
pub(in super::super) fn driver(about: &wgpu::AdapterInfo) -> String {
    format!("{} {}", about.driver, about.driver_info)
}

/// The kind of a device, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU that the host of a virtual machine provides.
    Virtual,
    /// A kind that the driver does not name.
    Other,
    /// The processor, presented as a GPU: lavapipe, SwiftShader, WARP.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AdapterKind::Discrete => "discrete",
            AdapterKind::Integrated => "integrated",
            AdapterKind::Virtual => "virtual",
            AdapterKind::Other => "other",
            AdapterKind::Software => "software",
        })
    }
}

/// The interface to an adapter; for a device with two, the first is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    Vulkan,
    Metal,
    Dx12,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Backend::Vulkan => "Vulkan",
            Backend::Metal => "Metal",
            Backend::Dx12 => "DX12",
        })
    }
}

/// An adapter as shown to users and in `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterSummary {
    /// Its index in [`super::list`], which `--device` accepts.
    pub index: usize,
    pub name: String,
    pub kind: AdapterKind,
    pub backend: Backend,
    pub driver: String,
    /// The driver's version, as the driver writes it.
    pub driver_info: String,
    /// PCI numbers of vendor and device, or the backend's equivalent; 0 if there is none.
    pub vendor: u32,
    pub device: u32,
    /// Address on the PCI bus, as `0000:01:00.0`; empty where unknown.
    pub pci_bus: String,
    pub limits: AdapterLimits,
    pub features: AdapterFeatures,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// The limits that matter to the kernels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterLimits {
    /// Bytes of the largest heap of device memory, if the driver reports it (Vulkan). An integrated or software adapter
    /// shares it with the processor.
    pub memory: Option<u64>,
    /// Bytes of the largest buffer, and of the largest part of one that a shader can bind.
    pub max_buffer: u64,
    pub max_binding: u64,
    /// Storage buffers per shader stage.
    pub storage_buffers: u32,
    /// Bytes of memory, and invocations, of a workgroup.
    pub workgroup_memory: u32,
    pub workgroup_invocations: u32,
    /// Workgroups along one side of a grid.
    pub workgroups_per_dimension: u32,
    /// Smallest and largest subgroup.
    pub subgroup_sizes: (u32, u32),
}

/// The features that kernels can use; none is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AdapterFeatures {
    pub subgroups: bool,
    pub f16: bool,
    pub timestamps: bool,
    pub pipeline_cache: bool,
    /// Matrix products of a subgroup, as `16x16x16 f16 -> f32`: rows x columns x inner, operands -> result.
    pub cooperative_matrices: Vec<String>,
    /// Whether these suffice for `--precision f16`.
    pub precision_f16: bool,
}

impl AdapterSummary {
    pub(super) fn of(adapter: &wgpu::Adapter) -> Option<AdapterSummary> {
        let info = adapter.get_info();
        let backend = match info.backend {
            wgpu::Backend::Vulkan => Backend::Vulkan,
            wgpu::Backend::Metal => Backend::Metal,
            wgpu::Backend::Dx12 => Backend::Dx12,
            _ => return None,
        };
        let limits = AdapterLimits::of(adapter, &info);
        let compute = wgpu::DownlevelFlags::COMPUTE_SHADERS;
        let compute = adapter.get_downlevel_capabilities().flags.contains(compute);
        let name = if info.name.trim().is_empty() { "unnamed adapter" } else { info.name.trim() };
        Some(AdapterSummary {
            index: 0,
            name: name.to_owned(),
            kind: kind(info.device_type, name, &info.driver),
            backend,
            driver: info.driver.trim().to_owned(),
            driver_info: info.driver_info.trim().to_owned(),
            vendor: info.vendor,
            device: info.device,
            pci_bus: info.device_pci_bus_id,
            problem: problem(&limits, compute),
            limits,
            features: AdapterFeatures::of(adapter),
        })
    }

    /// Whether its driver only translates to another backend (Mesa's Dozen: Vulkan on DX12).
    pub(super) fn is_translated(&self) -> bool {
        contains(&self.driver, "dozen") || contains(&self.name, "Microsoft Direct3D12")
    }
}

impl AdapterLimits {
    fn of(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo) -> AdapterLimits {
        let limits = adapter.limits();
        AdapterLimits {
            memory: memory(adapter),
            max_buffer: limits.max_buffer_size,
            max_binding: limits.max_storage_buffer_binding_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            subgroup_sizes: (info.subgroup_min_size, info.subgroup_max_size),
        }
    }
}

impl AdapterFeatures {
    fn of(adapter: &wgpu::Adapter) -> AdapterFeatures {
        let features = adapter.features();
        let product = |p: wgpu::CooperativeMatrixProperties| {
            let (from, to) = (format!("{:?}", p.ab_type), format!("{:?}", p.cr_type));
            let saturating = if p.saturating_accumulation { " saturating" } else { "" };
            let text = format!("{}x{}x{} {from} -> {to}{saturating}", p.m_size, p.n_size, p.k_size);
            text.to_lowercase()
        };
        AdapterFeatures {
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            f16: features.contains(wgpu::Features::SHADER_F16),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
            cooperative_matrices: adapter.cooperative_matrix_properties().into_iter().map(product).collect(),
            precision_f16: halves(adapter).is_some(),
        }
    }
}

/// The problem of a device without [`halves`], after its name.
pub(in super::super) const NO_HALVES: &str = "does not support cooperative matrices of f16 with sums in f32 (`bngpu devices --device NAME` shows what a GPU has)";

/// The features that `--precision f16` requires.
pub(in super::super) const HALVES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SUBGROUP);

/// Bytes of workgroup memory of the largest tile in half precision, 64 x 64, with 16 of K in four parts.
const HALVES_MEMORY: u32 = 4 * 64 * 64 + 4 * 2 * 64 * 24 + 4 * 2 * 64;

/// The half-precision products of an adapter: square matrices of f16, summed in f32, by subgroups of one size; none if
/// it has no such products.
pub(in super::super) fn halves(adapter: &wgpu::Adapter) -> Option<Cooperative> {
    let info = adapter.get_info();
    let one_size = info.subgroup_min_size == info.subgroup_max_size;
    let memory = adapter.limits().max_compute_workgroup_storage_size;
    if !adapter.features().contains(HALVES) || !one_size || memory < HALVES_MEMORY {
        return None;
    }
    let kinds = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let suits = |p: &wgpu::CooperativeMatrixProperties| {
        (p.ab_type, p.cr_type) == kinds
            && [8, 16].contains(&p.m_size)
            && (p.n_size, p.k_size) == (p.m_size, p.m_size)
            && !p.saturating_accumulation
    };
    let sizes = adapter.cooperative_matrix_properties().into_iter().filter(suits).map(|p| p.m_size);
    sizes.max().map(|size| Cooperative { size, subgroup: info.subgroup_min_size })
}

/// Best first: by kind, device memory (unknown counts least), largest buffer, index.
pub(super) fn rank(a: &AdapterSummary) -> (AdapterKind, Reverse<u64>, Reverse<u64>, usize) {
    (a.kind, Reverse(a.limits.memory.unwrap_or(0)), Reverse(a.limits.max_buffer), a.index)
}

/// The kind of an adapter. Names identify software too: drivers have reported it as a GPU, and so does a virtual
/// machine's GPU that the host computes in software.
pub(in super::super) fn kind(reported: wgpu::DeviceType, name: &str, driver: &str) -> AdapterKind {
    const SOFTWARE: [&str; 7] = [
        "llvmpipe",
        "lavapipe",
        "softpipe",
        "SwiftShader",
        "Microsoft Basic Render",
        "Software Adapter",
        "WARP",
    ];
    let called = |word: &str| contains(name, word) || contains(driver, word);
    if SOFTWARE.into_iter().any(|word| if word == "WARP" { has_word(name, word) } else { called(word) }) {
        return AdapterKind::Software;
    }
    match reported {
        _ if called("Venus") || called("VirtIO") || called("Paravirtual") => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

/// Why an adapter cannot run the kernels, which only need the default limits of WebGPU.
pub(super) fn problem(limits: &AdapterLimits, compute: bool) -> Option<String> {
    let webgpu = wgpu::Limits::defaults();
    let needs = [
        (limits.storage_buffers, webgpu.max_storage_buffers_per_shader_stage, "storage buffers in a shader"),
        (limits.workgroup_memory, webgpu.max_compute_workgroup_storage_size, "bytes of workgroup memory"),
        (
            limits.workgroup_invocations,
            webgpu.max_compute_invocations_per_workgroup,
            "invocations in a workgroup",
        ),
    ];
    if !compute {
        return Some("it has no compute shaders".into());
    }
    let (has, needed, what) = needs.into_iter().find(|(has, needed, _)| has < needed)?;
    Some(format!("it has {has} {what}, {needed} are needed"))
}

/// Whether `text` contains `part`, in any case.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Whether one of the words of `text` is `word`.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|w| w == word)
}

/// Bytes of the largest heap of device memory; only Vulkan reports it.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &wgpu::Adapter) -> Option<u64> {
    const DEVICE_LOCAL: u32 = 1; // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    // SAFETY: the handles are used while `adapter` lives, for a query; nothing is destroyed.
    let properties = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    let heaps = properties.memory_heaps_as_slice().iter();
    heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

#[cfg(target_vendor = "apple")]
fn memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}
