//! The table of all compilers and kernels, `docs/kernels.md`, and what fails the check.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bngpu::engine::gpu::shaders;
use serde_json::Value;

use crate::dump::{PLANTED, kernels};

/// Seconds of the processor that one kernel may take to compile, and all of case a one after the other, by compilers of
/// GPUs. Tint's are of SwiftShader, which compiles for a processor.
const ONE_KERNEL_S: f64 = 2.0;
const CASE_A_S: f64 = 3.0;
/// How much a kernel's instructions may grow.
const GROWTH: f64 = 1.5;

/// What one compiler said of one kernel.
struct Outcome {
    seconds: f64,
    error: Option<String>,
    /// Not all of it: why.
    partly: Option<String>,
    statistics: Value,
}

struct Compiler {
    /// The name of its file, and what it calls itself.
    id: String,
    name: String,
    results: BTreeMap<String, Outcome>,
}

impl Outcome {
    fn number(&self, key: &str) -> Option<u64> {
        self.statistics[key].as_u64()
    }

    /// Values that went to slow memory: spilled registers, bytes of scratch, and elements of indexed arrays.
    fn spills(&self) -> u64 {
        ["Spilled VGPRs", "Spilled SGPRs", "Scratch size"].iter().filter_map(|key| self.number(key)).sum()
    }

    fn instructions(&self) -> Option<u64> {
        self.number("Instructions").or_else(|| self.number("instructions"))
    }
}

/// Compilers whose statistics are budgeted.
fn has_budget(compiler: &Compiler) -> bool {
    compiler.results.values().any(|outcome| outcome.instructions().is_some())
}

/// Compilers whose seconds are of the processor and count.
fn is_timed(compiler: &Compiler) -> bool {
    compiler.id.starts_with("vulkan") || ["fxc", "dxc"].contains(&compiler.id.as_str())
}

fn read(dir: &Path) -> Result<Vec<Compiler>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("results"))?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let compiler = |path: PathBuf| -> Result<Compiler> {
        let all: Value =
            serde_json::from_str(&fs::read_to_string(&path)?).context(path.display().to_string())?;
        let results = all["results"].as_object().context("no results")?;
        let results = results.iter().map(|(kernel, found)| {
            let text = |key: &str| found[key].as_str().map(str::to_owned);
            let seconds = found["seconds"].as_f64().unwrap_or(0.0);
            let outcome =
                Outcome { seconds, error: text("error"), partly: text("partly"), statistics: found.clone() };
            (kernel.clone(), outcome)
        });
        Ok(Compiler {
            id: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            name: all["compiler"].as_str().unwrap_or("?").to_owned(),
            results: results.collect(),
        })
    };
    files.into_iter().map(compiler).collect()
}

/// Prints the table and what is wrong; writes `docs/kernels.md` if asked to.
pub fn report(dir: &Path, write: bool) -> Result<()> {
    let kernels = kernels(dir)?;
    let compilers = read(dir)?;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kernels.md");
    let before = fs::read_to_string(&docs).unwrap_or_default();
    let mut wrong = missing(&kernels, &compilers);
    wrong.extend(faults(&kernels, &compilers));
    wrong.extend(growth(&compilers, &kernels, &before));
    wrong.extend(planted(&compilers));
    let summary = summary(&kernels, &compilers);
    println!("{summary}");
    let now = document(&kernels, &compilers, &summary);
    if !wrong.is_empty() {
        wrong.iter().for_each(|fault| eprintln!("wrong: {fault}"));
        bail!("{} faults; docs/kernels.md stays as it is", wrong.len());
    }
    println!("planted faults: {} of {} found", PLANTED.len(), PLANTED.len());
    if write {
        fs::write(&docs, now)?;
        println!("docs/kernels.md is written");
    } else if !before.contains(&shaders::fingerprint()) {
        bail!("docs/kernels.md is of other shaders: scripts/portability --write");
    } else {
        println!("docs/kernels.md is of these shaders, and no kernel outgrew it");
    }
    Ok(())
}

fn is(kernel: &Value, key: &str) -> bool {
    kernel[key] == Value::Bool(true)
}

fn name(kernel: &Value) -> &str {
    kernel["name"].as_str().unwrap_or("?")
}

/// The kernels of the program, without planted faults, that a compiler was given.
fn given<'a>(kernels: &'a [Value], compiler: &'a Compiler) -> impl Iterator<Item = (&'a Value, &'a Outcome)> {
    let own = kernels.iter().filter(|kernel| !is(kernel, "planted"));
    own.filter_map(|kernel| Some((kernel, compiler.results.get(name(kernel))?)))
}

/// Every compiler that must have been asked; of those with `true`, for every kernel in f32.
const EXPECTED: [(&str, bool); 9] = [
    ("dxc", true),
    ("fxc", false),
    ("metal", true),
    ("spirv-val", true),
    ("tint", true),
    ("vulkan-navi10", false),
    ("vulkan-navi21", false),
    ("vulkan-navi31", false),
    ("vulkan-vega10", false),
];

/// Compilers and kernels without a result, and kernels without statistics.
fn missing(kernels: &[Value], compilers: &[Compiler]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, all) in EXPECTED {
        let Some(compiler) = compilers.iter().find(|compiler| compiler.id == id) else {
            wrong.push(format!("{id} has not been asked"));
            continue;
        };
        for kernel in kernels.iter().filter(|kernel| !is(kernel, "planted") && !is(kernel, "f16")) {
            let found = compiler.results.get(name(kernel));
            if found.is_none() && (all || is(kernel, "usual")) {
                wrong.push(format!("{id} says nothing of {}", name(kernel)));
            }
            if found.is_some_and(|o| o.error.is_none() && o.instructions().is_none()) && has_budget(compiler)
            {
                wrong.push(format!("{id} has no statistics of {}", name(kernel)));
            }
        }
    }
    wrong
}

/// Refusals, spills, and what takes too long.
fn faults(kernels: &[Value], compilers: &[Compiler]) -> Vec<String> {
    let mut wrong = Vec::new();
    for compiler in compilers {
        let id = &compiler.id;
        for (kernel, outcome) in given(kernels, compiler) {
            let name = name(kernel);
            if let Some(error) = &outcome.error {
                wrong.push(format!("{id} refuses {name}: {error}"));
            }
            if outcome.spills() > 0 {
                wrong.push(format!("{id} spills in {name}: {}", outcome.statistics));
            }
            if is_timed(compiler) && outcome.seconds > ONE_KERNEL_S {
                wrong.push(format!(
                    "{id} takes {:.1} s for {name}, {ONE_KERNEL_S} are allowed",
                    outcome.seconds
                ));
            }
        }
        let case_a = case_a(kernels, compiler);
        if is_timed(compiler) && case_a > CASE_A_S {
            wrong.push(format!("{id} takes {case_a:.1} s for the kernels of case a, {CASE_A_S} are allowed"));
        }
    }
    wrong
}

/// Seconds for the pipelines of case a, one after the other.
fn case_a(kernels: &[Value], compiler: &Compiler) -> f64 {
    given(kernels, compiler)
        .filter(|(kernel, _)| is(kernel, "case_a"))
        .map(|(_, outcome)| outcome.seconds)
        .sum()
}

/// Planted faults that were not found.
fn planted(compilers: &[Compiler]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, by, _) in PLANTED {
        let mut found = false;
        for compiler in compilers.iter().filter(|c| c.id.starts_with(by)) {
            found |= compiler.results.get(name).is_some_and(|o| o.error.is_some() || o.spills() > 0);
        }
        if !found {
            wrong.push(format!("{by} does not find the planted fault {name}: the check is blind"));
        }
    }
    wrong
}

/// Kernels that have outgrown what `docs/kernels.md` says.
fn growth(compilers: &[Compiler], kernels: &[Value], before: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for compiler in compilers.iter().filter(|c| has_budget(c)) {
        let Some(section) = before.split("\n### ").find(|s| s.starts_with(&format!("{}:", compiler.id)))
        else {
            continue;
        };
        for (kernel, outcome) in given(kernels, compiler) {
            let row = section.lines().find(|line| line.starts_with(&format!("| {} |", name(kernel))));
            // Instructions are the last column.
            let then =
                row.and_then(|row| row.trim_end_matches('|').rsplit('|').next()?.trim().parse::<f64>().ok());
            let (Some(then), Some(now)) = (then, outcome.instructions()) else { continue };
            if now as f64 > GROWTH * then {
                wrong.push(format!(
                    "{}: {} has grown (delete its row of docs/kernels.md to accept that) from {then} to {now} instructions",
                    compiler.id,
                    name(kernel)
                ));
            }
        }
    }
    wrong
}

/// One line a compiler.
fn summary(kernels: &[Value], compilers: &[Compiler]) -> String {
    let mut text = String::from(
        "| compiler | kernels | refused | spill | slowest, s | case a, s | |\n|---|---|---|---|---|---|---|\n",
    );
    for compiler in compilers {
        let all: Vec<_> = given(kernels, compiler).collect();
        let count = |what: fn(&Outcome) -> bool| all.iter().filter(|(_, outcome)| what(outcome)).count();
        let slowest = all.iter().map(|(_, outcome)| outcome.seconds).fold(0.0, f64::max);
        let partly = count(|o| o.partly.is_some());
        let note = all
            .iter()
            .find_map(|(_, o)| o.partly.as_ref())
            .map_or_else(String::new, |why| format!("{partly}: {why}"));
        let spills =
            if compiler.id.starts_with("vulkan") { count(|o| o.spills() > 0).to_string() } else { "".into() };
        let _ = writeln!(
            text,
            "| {} ({}) | {} | {} | {spills} | {slowest:.2} | {:.2} | {note} |",
            compiler.id,
            compiler.name,
            all.len(),
            count(|o| o.error.is_some()),
            case_a(kernels, compiler),
        );
    }
    text
}

const HEAD: &str = "# Kernels

Written by `scripts/portability --write`, which takes every kernel in every layout through the compilers of other machines. Layouts
of cooperative matrices go through naga alone; AMD's compiler gets a subgroup layout where its subgroups have that one size,
FXC none. Do not edit it by hand. A test fails while the shaders do not have this fingerprint:

";

const BUDGET: &str = "
## Budget

The layouts that a GPU takes until `bngpu bench --tune` finds better ones. The check fails when a compiler refuses a kernel,
spills registers, when AMD's, FXC or DXC take more than 2 s for one kernel or 3 s for all of case a one after the other (Tint
compiles for a processor here), or when a kernel's instructions grow by half.

Registers are those of one invocation. Waves are subgroups that a SIMD can hold at once, as many as registers and workgroup
memory (LDS) allow. Latency and inverse throughput are the compiler's estimates, in cycles of a wave, with its own guess of how
often loops run. FXC's registers are of four numbers each; `indexed` are such registers in arrays that are indexed at run time.
";

/// `docs/kernels.md`.
fn document(kernels: &[Value], compilers: &[Compiler], summary: &str) -> String {
    let mut text = format!("{HEAD}    {}\n\n## Compilers\n\n{summary}{BUDGET}", shaders::fingerprint());
    for compiler in compilers.iter().filter(|c| has_budget(c)) {
        let _ = writeln!(text, "\n### {}: {}\n", compiler.id, compiler.name);
        let fxc = compiler.id == "fxc";
        let columns: &[(&str, &str)] = match fxc {
            true => &[("registers", "registers"), ("indexed", "indexed")],
            false => &[
                ("VGPRs", "registers"),
                ("LDS size", "LDS bytes"),
                ("Subgroups per SIMD", "waves"),
                ("Latency", "latency"),
                ("Inverse Throughput", "inverse throughput"),
            ],
        };
        let heads: Vec<&str> = columns.iter().map(|&(_, head)| head).collect();
        let _ = writeln!(text, "| kernel | {} | instructions |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len() + 1));
        for (kernel, outcome) in given(kernels, compiler).filter(|(kernel, _)| is(kernel, "usual")) {
            let cell = |key: &str| outcome.number(key).map_or_else(String::new, |n| n.to_string());
            let cells: Vec<String> = columns.iter().map(|&(key, _)| cell(key)).collect();
            let instructions = outcome.instructions().map_or_else(String::new, |n| n.to_string());
            let _ = writeln!(text, "| {} | {} | {instructions} |", name(kernel), cells.join(" | "));
        }
    }
    text
}
