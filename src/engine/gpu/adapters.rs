//! The adapters of this machine: their properties, and the choice of one.
//!
//! [`list`] queries the drivers; [`choose`] decides and is pure, so that tests can mock machines.

mod choose;
mod no_adapter;
mod summary;
#[cfg(test)]
mod tests;

pub use choose::{Choice, ChooseError, Chosen, choose};
pub use no_adapter::NoAdapter;
pub use summary::{AdapterFeatures, AdapterKind, AdapterLimits, AdapterSummary, Backend};
pub(super) use summary::{HALVES, NO_HALVES, driver, halves, kind};

/// The adapters of this machine on Vulkan, Metal and DX12, best first, then by their address on the bus: an index means
/// the same adapter until hardware or drivers change. A device with several backends or drivers is listed once. Usable
/// entries come before unusable ones, the device's own driver before a translation, and Vulkan before DX12.
///
/// Adapters that do not conform to Vulkan are left out unless `WGPU_ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER=1`.
///
/// # Errors
/// [`NoAdapter`], with the cause and the remedy, if there is none.
pub fn list() -> Result<Vec<(AdapterSummary, wgpu::Adapter)>, NoAdapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        // The default of debug builds would request validation layers.
        flags: wgpu::InstanceFlags::empty().with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(backends));
    let found: Vec<_> = adapters
        .into_iter()
        .filter_map(|adapter| AdapterSummary::of(&adapter).map(|summary| (summary, adapter)))
        .collect();
    if found.is_empty() { Err(NoAdapter::of_this_machine()) } else { Ok(arrange(found)) }
}

/// Disables Mesa's device-select layer unless the environment configures it: it sorts adapters, which [`list`] does
/// itself, and writes to the terminal if there is no desktop.
///
/// # Safety
/// As for [`std::env::set_var`]: call it while the process has one thread, at the start of `main`.
pub unsafe fn without_device_select() {
    const OFF: &str = "NODEVICE_SELECT";
    if cfg!(target_os = "linux") && std::env::var_os(OFF).is_none() {
        // SAFETY: by this function's own condition.
        unsafe { std::env::set_var(OFF, "1") }
    }
}

/// Keeps one entry of each physical device and numbers them. `T` is carried along.
fn arrange<T>(found: Vec<(AdapterSummary, T)>) -> Vec<(AdapterSummary, T)> {
    // Compares within a backend, because DX12 gives two equal cards one address.
    let way = |a: &AdapterSummary| (a.problem.is_some(), a.is_translated(), a.backend);
    let same_model = |a: &AdapterSummary, b: &AdapterSummary| {
        a.vendor != 0 && (a.vendor, a.device) == (b.vendor, b.device)
    };
    let best_way = |of: &AdapterSummary| {
        found.iter().map(|(a, _)| a).filter(|a| same_model(a, of)).map(way).min().unwrap_or(way(of))
    };
    let keep: Vec<bool> = found
        .iter()
        .enumerate()
        .map(|(at, (a, _))| {
            let (_, translated, backend) = best_way(a);
            let again = |b: &AdapterSummary| {
                same_model(a, b) && a.backend == b.backend && a.pci_bus == b.pci_bus && !a.pci_bus.is_empty()
            };
            let seen = found.iter().enumerate().any(|(other, (b, _))| {
                // A preferred driver of this very device comes before this entry.
                other != at && again(b) && (way(b), other) < (way(a), at)
            });
            (a.is_translated(), a.backend) == (translated, backend) && !seen
        })
        .collect();
    let mut kept: Vec<_> =
        found.into_iter().zip(keep).filter_map(|(entry, keep)| keep.then_some(entry)).collect();
    kept.sort_by(|(a, _), (b, _)| (a.kind, &a.pci_bus).cmp(&(b.kind, &b.pci_bus)));
    for (index, (summary, _)) in kept.iter_mut().enumerate() {
        summary.index = index;
    }
    kept
}
