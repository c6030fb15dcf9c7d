//! The compilers that this program calls itself, and what others printed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::dump::kernels;
use crate::translate::Bound;
use crate::vulkan::Driver;

fn keep(dir: &Path, name: &str, compiler: &str, results: Map<String, Value>) -> Result<()> {
    ensure!(!results.is_empty(), "{name}: no kernel was compiled");
    println!("{name}: {} kernels by {compiler}", results.len());
    let all = json!({ "compiler": compiler, "results": results });
    fs::write(dir.join("results").join(format!("{name}.json")), serde_json::to_string_pretty(&all)?)?;
    Ok(())
}

fn text<'a>(kernel: &'a Value, key: &str) -> Option<&'a str> {
    kernel[key].as_str()
}

/// Runs `command`, and gives what it complained of.
fn complaint(command: &mut Command) -> Result<Option<String>> {
    let ran = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).trim().to_owned();
    Ok((!ran.status.success()).then_some(said))
}

fn first_line(program: &str, argument: &str) -> Result<String> {
    let ran = Command::new(program).arg(argument).output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&ran.stdout).lines().next().unwrap_or(program).to_owned())
}

/// Runs a checker on each kernel's file in a language, and gives what it complained of. None knows cooperative matrices.
fn check(dir: &Path, language: &str, command: impl Fn(&Path) -> Command) -> Result<Map<String, Value>> {
    let mut results = Map::new();
    for kernel in kernels(dir)?.iter().filter(|kernel| !is_f16(kernel)) {
        let (Some(name), Some(file)) = (text(kernel, "name"), text(kernel, language)) else { continue };
        let start = Instant::now();
        let error = complaint(&mut command(&dir.join(file)))?;
        results.insert(name.into(), outcome(start, error));
    }
    Ok(results)
}

/// SPIR-V through `spirv-val`, for Vulkan 1.3.
pub fn spirv_val(dir: &Path) -> Result<()> {
    let results = check(dir, "spirv", |file| {
        let mut command = Command::new("spirv-val");
        command.args(["--target-env", "vulkan1.3"]).arg(file);
        command
    })?;
    keep(dir, "spirv-val", &first_line("spirv-val", "--version")?, results)
}

/// Metal's language through Clang's type checker, with the declarations of `metal_stdlib` beside this file's folder. It
/// is no compiler of Apple's: it finds what is no program, not what a driver would refuse.
pub fn metal(dir: &Path) -> Result<()> {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("metal");
    let results = check(dir, "metal", |file| {
        let mut command = Command::new("clang++");
        command
            .args(["-fsyntax-only", "-std=c++17", "-x", "c++", "-Werror", "-Wno-unknown-attributes"])
            .args(["-Xclang", "-cl-single-precision-constant"])
            .args(["-Wno-ignored-attributes", "-Wno-unused-value", "-isystem"])
            .arg(&include)
            .arg(file);
        command
    })?;
    keep(dir, "metal", &format!("types of MSL by {}", first_line("clang++", "--version")?), results)
}

fn is_f16(kernel: &Value) -> bool {
    kernel["f16"] == json!(true)
}

fn outcome(start: Instant, error: Option<String>) -> Value {
    let seconds = start.elapsed().as_secs_f64();
    match error {
        None => json!({ "seconds": seconds }),
        Some(error) => json!({ "seconds": seconds, "error": error }),
    }
}

/// SPIR-V through the compiler of the first Vulkan driver that the loader finds.
pub fn vulkan(dir: &Path, name: &str) -> Result<()> {
    let driver = Driver::open()?;
    let mut results = Map::new();
    for kernel in kernels(dir)? {
        let (Some(kernel_name), Some(file), false) =
            (text(&kernel, "name"), text(&kernel, "spirv"), is_f16(&kernel))
        else {
            continue;
        };
        // A device takes subgroups as lanes where they have one size.
        if kernel["subgroup"].as_u64().is_some_and(|size| driver.subgroup.map(u64::from) != Some(size)) {
            continue;
        }
        let bytes = fs::read(dir.join(file))?;
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let bound: Vec<Bound> =
            kernel["bindings"].as_array().into_iter().flatten().filter_map(binding).collect();
        let found = match driver.compile(&words, &bound) {
            Ok(statistics) => Value::Object(statistics),
            Err(error) => json!({ "seconds": 0.0, "error": error.to_string() }),
        };
        results.insert(kernel_name.into(), found);
    }
    keep(dir, name, &driver.name, results)
}

fn binding(value: &Value) -> Option<Bound> {
    let number = |key: &str| value[key].as_u64().and_then(|n| u32::try_from(n).ok());
    Some(Bound {
        group: number("group")?,
        binding: number("binding")?,
        uniform: value["kind"] == json!("uniform"),
    })
}

/// What `dx.exe` printed.
pub fn direct3d(dir: &Path, name: &str, printed: &Path) -> Result<()> {
    let said = fs::read_to_string(printed).with_context(|| format!("{}", printed.display()))?;
    let mut results = Map::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [kernel, outcome, seconds, _bytes, details] = words[..] else { bail!("{name} printed: {line}") };
        let mut found = Map::new();
        found.insert("seconds".into(), json!(seconds.parse::<f64>().context("seconds")?));
        if outcome == "ok" {
            let words: Vec<&str> = details.split_whitespace().collect();
            for pair in words.chunks_exact(2) {
                found.insert(pair[0].into(), json!(pair[1].parse::<u64>().unwrap_or(0)));
            }
        } else {
            found.insert("error".into(), json!(details.trim()));
        }
        results.insert(kernel.into(), Value::Object(found));
    }
    let list = if name == "fxc" { "hlsl5.list" } else { "hlsl6.list" };
    let asked = fs::read_to_string(dir.join(list))?.lines().count();
    ensure!(results.len() == asked, "{name} ended after {} of {asked} kernels", results.len());
    let compiler =
        if name == "fxc" { "FXC (d3dcompiler_47.dll), cs_5_1" } else { "DXC (dxcompiler.dll), cs_6_0" };
    keep(dir, name, compiler, results)
}
