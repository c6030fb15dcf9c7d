//! Chooses an adapter, with a reason.

use serde::Serialize;

use super::no_adapter::NoAdapter;
use super::summary::{AdapterKind, AdapterSummary, NO_HALVES, contains, rank};
use crate::base::text::bytes;
use crate::engine::cpu;

/// The chosen engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The native CPU engine.
    Cpu,
    /// The GPU engine on the adapter with this index.
    Adapter(usize),
}

/// A choice with its reason, which is always printed: "NAME, because REASON".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub choice: Choice,
    /// Name of the adapter, or of the CPU engine.
    pub name: String,
    /// A clause, without a full stop.
    pub reason: String,
}

/// No device matches; the program then ends with exit code 5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// A GPU is required, but there is none.
    #[error("--device {wanted}: {cause}; or use --device cpu")]
    NoGpu { wanted: String, cause: NoAdapter },
    /// A GPU is required, but none can be used.
    #[error("--device {wanted}: no adapter can be used: {problems}; use --device cpu, or update the driver")]
    NoneUsable { wanted: String, problems: String },
    /// No adapter has this index or name.
    #[error("--device {wanted}: no such device; there is {available}")]
    Unknown { wanted: String, available: String },
    /// Several adapters have this in their names.
    #[error("--device {wanted}: several adapters match: {matches}; give an index or more of the name")]
    Ambiguous { wanted: String, matches: String },
    /// The device does not multiply in half precision.
    #[error("--precision f16: {name} {}; use --precision f32, or another --device", NO_HALVES)]
    NoHalves { name: String },
    /// The adapter with this index or name lacks something.
    #[error("--device {wanted}: {name} cannot be used: {problem}; there is {available}")]
    Unusable { wanted: String, name: String, problem: String, available: String },
}

/// Chooses what computes. `found` is the result of [`super::list`], `wanted` the value of `--device`:
///
/// - `auto`: the best discrete GPU, else the best integrated one, else the CPU engine.
/// - `gpu`: the best GPU, or a software one if there is no other; the reason then warns.
/// - `cpu`: the CPU engine.
/// - an index, or a part of a name in any case; a whole name takes precedence over a part, and a driver's name counts
///   only if no adapter's name matches. A number below 100 is always an index.
///
/// Among GPUs of one kind the one with the most device memory is taken, then the one with the largest buffers, then
/// the first. An adapter with a problem is never taken.
///
/// # Errors
/// If no device matches; the message lists the devices.
pub fn choose(found: Result<&[AdapterSummary], &NoAdapter>, wanted: &str) -> Result<Chosen, ChooseError> {
    let adapters = found.unwrap_or_default();
    match wanted.trim().to_lowercase().as_str() {
        "cpu" => Ok(cpu("--device cpu selects it".into())),
        "auto" => Ok(auto(found)),
        "gpu" => match (best(adapters, AdapterKind::Software), found) {
            (Some(gpu), _) => Ok(taken(gpu, &among_peers(gpu, adapters))),
            (None, Err(cause)) => Err(ChooseError::NoGpu { wanted: wanted.into(), cause: cause.clone() }),
            (None, Ok(_)) => {
                Err(ChooseError::NoneUsable { wanted: wanted.into(), problems: problems(adapters) })
            }
        },
        _ => by_name(found, wanted.trim()),
    }
}

fn auto(found: Result<&[AdapterSummary], &NoAdapter>) -> Chosen {
    let adapters = match found {
        Ok(adapters) => adapters,
        Err(cause) => return cpu(format!("there is no GPU: {cause}")),
    };
    if let Some(gpu) = best(adapters, AdapterKind::Integrated) {
        let mut chosen = taken(gpu, &among_peers(gpu, adapters));
        if gpu.kind == AdapterKind::Integrated {
            chosen.reason = format!("there is no {}discrete GPU and {}", usable(adapters), chosen.reason);
        }
        return chosen;
    }
    let mut none = format!("there is no {}discrete or integrated GPU", usable(adapters));
    if adapters.iter().any(|a| a.problem.is_some()) {
        none += &format!(": {}", problems(adapters));
    }
    match best(adapters, AdapterKind::Software) {
        Some(other) => cpu(format!("{none}; --device gpu would take the {} GPU {}", word(other), other.name)),
        None => cpu(none),
    }
}

fn by_name(found: Result<&[AdapterSummary], &NoAdapter>, wanted: &str) -> Result<Chosen, ChooseError> {
    let adapters = match found {
        Ok(adapters) => adapters,
        Err(cause) => return Err(ChooseError::NoGpu { wanted: wanted.into(), cause: cause.clone() }),
    };
    let number: Option<usize> = wanted.parse().ok();
    if let Some(adapter) = adapters.iter().find(|a| Some(a.index) == number) {
        return one(adapter, adapters, wanted, "--device gives its index");
    }
    let unknown = || ChooseError::Unknown { wanted: wanted.into(), available: available(adapters) };
    if wanted.is_empty() || number.is_some_and(|number| number < 100) {
        return Err(unknown());
    }
    let ways: [&dyn Fn(&AdapterSummary) -> bool; 3] =
        [&|a| a.name.to_lowercase() == wanted.to_lowercase(), &|a| contains(&a.name, wanted), &|a| {
            contains(&a.driver, wanted)
        }];
    let mut by_way = ways.into_iter().map(|way| adapters.iter().filter(|a| way(a)).collect::<Vec<_>>());
    let matches = by_way.find(|matches| !matches.is_empty()).ok_or_else(unknown)?;
    let usable: Vec<_> = matches.iter().copied().filter(|a| a.problem.is_none()).collect();
    match (usable.as_slice(), matches.as_slice()) {
        ([adapter], _) | ([], [adapter, ..]) => one(adapter, adapters, wanted, "--device gives its name"),
        _ => Err(ChooseError::Ambiguous { wanted: wanted.into(), matches: names(&usable) }),
    }
}

/// The named adapter, if it can be used.
fn one(
    adapter: &AdapterSummary,
    adapters: &[AdapterSummary],
    wanted: &str,
    why: &str,
) -> Result<Chosen, ChooseError> {
    match &adapter.problem {
        None => Ok(taken(adapter, why)),
        Some(problem) => Err(ChooseError::Unusable {
            wanted: wanted.into(),
            name: adapter.name.clone(),
            problem: problem.clone(),
            available: available(adapters),
        }),
    }
}

/// The best adapter without a problem, of the kinds up to `worst`.
fn best(adapters: &[AdapterSummary], worst: AdapterKind) -> Option<&AdapterSummary> {
    adapters.iter().filter(|a| a.problem.is_none() && a.kind <= worst).min_by_key(|a| rank(a))
}

/// Why an adapter is the best of its kind.
fn among_peers(best: &AdapterSummary, adapters: &[AdapterSummary]) -> String {
    let peers =
        adapters.iter().filter(|a| a.problem.is_none() && a.kind == best.kind && a.index != best.index);
    let (_, memory, buffer, _) = rank(best);
    let kind = word(best);
    if best.kind == AdapterKind::Software {
        return format!("there is no {}hardware GPU", usable(adapters));
    }
    // The closest rival shows the deciding property.
    match peers.map(rank).min() {
        None => format!("it is the only {}{kind} GPU", usable(adapters)),
        Some((_, theirs, ..)) if theirs != memory => {
            format!("it is the {kind} GPU with the most memory ({})", bytes(memory.0))
        }
        Some((_, _, theirs, _)) if theirs != buffer => {
            format!("it is the {kind} GPU with the largest buffers ({})", bytes(buffer.0))
        }
        Some(_) => format!("it is the first of several equal {kind} GPUs"),
    }
}

/// The kind of a GPU in a sentence.
fn word(adapter: &AdapterSummary) -> String {
    match adapter.kind {
        AdapterKind::Other => "unknown".into(),
        kind => kind.to_string(),
    }
}

fn taken(adapter: &AdapterSummary, why: &str) -> Chosen {
    let warning = match adapter.kind {
        AdapterKind::Software => "; warning: this is a software GPU, slower than --device cpu",
        _ => "",
    };
    Chosen {
        choice: Choice::Adapter(adapter.index),
        name: adapter.name.clone(),
        reason: format!("{why}{warning}"),
    }
}

fn cpu(reason: String) -> Chosen {
    Chosen { choice: Choice::Cpu, name: cpu::NAME.into(), reason }
}

/// "usable " if some adapter is not, so that "there is no GPU" is not said of a machine with one.
fn usable(adapters: &[AdapterSummary]) -> &'static str {
    if adapters.iter().any(|a| a.problem.is_some()) { "usable " } else { "" }
}

fn problems(adapters: &[AdapterSummary]) -> String {
    let with = adapters.iter().filter_map(|a| Some((a, a.problem.as_ref()?)));
    with.map(|(a, problem)| format!("{}: {problem}", a.name)).collect::<Vec<_>>().join("; ")
}

fn names(adapters: &[&AdapterSummary]) -> String {
    adapters.iter().map(|a| format!("{} {}", a.index, a.name)).collect::<Vec<_>>().join(", ")
}

/// All values that `--device` would take.
fn available(adapters: &[AdapterSummary]) -> String {
    let usable: Vec<_> = adapters.iter().filter(|a| a.problem.is_none()).collect();
    let names = names(&usable);
    if names.is_empty() { "cpu alone".into() } else { format!("{names}, or cpu") }
}
