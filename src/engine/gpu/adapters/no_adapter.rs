//! Diagnoses why a machine has no adapter, with a remedy.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// No adapter was found: the cause and the remedy, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAdapter {
    /// The library that loads Vulkan drivers is missing.
    #[error("no Vulkan loader was found; install it with the GPU's driver ({DRIVERS})")]
    NoLoader,
    /// The environment names the drivers, and none of them works.
    #[error("{variable}={value} leaves no usable Vulkan driver; unset it, or name a driver's .json file")]
    DriverFiles { variable: &'static str, value: String },
    /// The user has no permission to open the GPU.
    #[error(
        "there is a GPU, but no permission to open {}; add the user to the group that owns it (`sudo usermod -aG \
         render $USER`, then log in again); in a container, add `--group-add` with that group's number",
        path.display()
    )]
    NoPermission { path: PathBuf },
    /// NVIDIA's kernel driver is installed, but its Vulkan driver is not.
    #[error(
        "an NVIDIA GPU is present ({}), but its Vulkan driver is missing; install the driver's graphics part (Debian: \
         nvidia-vulkan-icd, Ubuntu: libnvidia-gl-<version>); in a container, set \
         NVIDIA_DRIVER_CAPABILITIES=all",
        path.display()
    )]
    NoNvidiaVulkan { path: PathBuf },
    /// The loader finds no driver.
    #[error(
        "the Vulkan loader found no driver; install the GPU's driver ({DRIVERS}); in a container, {CONTAINER}"
    )]
    NoDriver,
    /// Drivers are installed but find no device.
    #[error(
        "the installed Vulkan drivers found no GPU; update the GPU's driver ({DRIVERS}); in a container, \
         {CONTAINER}"
    )]
    NoDevice,
    /// The system's GPU interface needs no loader and reports no GPU.
    #[error("the system offers no GPU; pass one through to the virtual machine, or use --device cpu")]
    NoSystemDevice,
}

const DRIVERS: &str = "Debian, Ubuntu: `apt install mesa-vulkan-drivers` for AMD, Intel and software; NVIDIA: \
                       its driver package";
const CONTAINER: &str = "pass the GPU to it (`--device /dev/dri`, or `--gpus all -e \
                         NVIDIA_DRIVER_CAPABILITIES=all`)";

/// How far Vulkan comes up.
// Outside tests, Apple's systems use only the last one.
#[cfg_attr(all(target_vendor = "apple", not(test)), expect(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loader {
    Missing,
    NoDriver,
    Works,
    /// The system reaches GPUs without Vulkan.
    NotUsed,
}

/// Observations from which the cause is derived.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub loader: Loader,
    /// A variable that selects the drivers of the loader, and its value.
    pub driver_files: Option<(&'static str, String)>,
    /// A device node of a GPU that this user may not open.
    pub closed_node: Option<PathBuf>,
    /// A device node of NVIDIA's kernel driver.
    pub nvidia_node: Option<PathBuf>,
}

impl NoAdapter {
    /// Looks for the cause on this machine, after no adapter was found.
    pub(super) fn of_this_machine() -> NoAdapter {
        NoAdapter::of(Surroundings::of_this_machine())
    }

    /// The first cause that explains the observations.
    pub(super) fn of(seen: Surroundings) -> NoAdapter {
        match (seen.loader, seen.driver_files, seen.closed_node, seen.nvidia_node) {
            (Loader::NotUsed, ..) => NoAdapter::NoSystemDevice,
            (Loader::Missing, ..) => NoAdapter::NoLoader,
            (_, Some((variable, value)), ..) => NoAdapter::DriverFiles { variable, value },
            (_, _, Some(path), _) => NoAdapter::NoPermission { path },
            (_, _, _, Some(path)) => NoAdapter::NoNvidiaVulkan { path },
            (Loader::NoDriver, ..) => NoAdapter::NoDriver,
            (Loader::Works, ..) => NoAdapter::NoDevice,
        }
    }
}

impl Surroundings {
    fn of_this_machine() -> Surroundings {
        // The loader reads the first of these that is set.
        let variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
        let set = |variable| std::env::var_os(variable).map(|v| (variable, v.to_string_lossy().into_owned()));
        let nvidia = Path::new("/dev/nvidiactl");
        Surroundings {
            loader: probe(),
            driver_files: variables.into_iter().find_map(set),
            closed_node: closed_node(Path::new("/dev/dri")),
            nvidia_node: nvidia.exists().then(|| nvidia.to_owned()),
        }
    }
}

/// The first render node in `folder` without permission to open it, if none can be opened.
pub(super) fn closed_node(folder: &Path) -> Option<PathBuf> {
    let nodes = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let mut nodes: Vec<PathBuf> = nodes
        .filter(|node| node.file_name().to_string_lossy().starts_with("renderD"))
        .map(|node| node.path())
        .collect();
    nodes.sort();
    let closed = |node: &PathBuf| {
        let opened = OpenOptions::new().read(true).write(true).open(node);
        opened.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    if nodes.iter().all(closed) { nodes.into_iter().next() } else { None }
}

/// Initialises Vulkan once more, because wgpu does not report why that failed.
#[cfg(not(target_vendor = "apple"))]
fn probe() -> Loader {
    use wgpu::hal::Instance as _;
    if cfg!(windows) {
        return Loader::NotUsed;
    }
    let descriptor = wgpu::hal::InstanceDescriptor {
        name: "bngpu",
        flags: wgpu::InstanceFlags::empty(),
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds::default(),
        backend_options: wgpu::BackendOptions::default(),
        telemetry: None,
        display: None,
    };
    // SAFETY: as in wgpu; the instance is dropped at once and nothing is made from it.
    match unsafe { wgpu::hal::vulkan::Instance::init(&descriptor) } {
        Ok(_) => Loader::Works,
        Err(error) if error.to_string().contains("missing Vulkan entry points") => Loader::Missing,
        Err(_) => Loader::NoDriver,
    }
}

#[cfg(target_vendor = "apple")]
fn probe() -> Loader {
    Loader::NotUsed
}
