//! Every kernel in every layout as a file in each language, and a list of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bngpu::engine::gpu::shaders::{self, Variant};
use naga::back::hlsl::ShaderModel;
use serde_json::{Value, json};

use crate::steps;
use crate::translate::Shader;

/// Faults that a compiler must find, each with the compiler that does: see the head of each file.
pub const PLANTED: [(&str, &str, &str); 4] = [
    ("planted-parentheses", "tint", include_str!("../planted/parentheses.wgsl")),
    ("planted-divergent-barrier-tint", "tint", include_str!("../planted/divergent_barrier.wgsl")),
    ("planted-divergent-barrier-fxc", "fxc", include_str!("../planted/divergent_barrier.wgsl")),
    ("planted-spill", "vulkan", include_str!("../planted/spill.wgsl")),
];

/// Writes `DIR/kernels.json`, `DIR/*.{wgsl,spv,5.hlsl,6.hlsl,metal}` and the lists that `dx.exe` reads.
pub fn dump(dir: &Path) -> Result<()> {
    // Nothing of an earlier dump may pass for this one's.
    if dir.exists() {
        let ours = dir.join("kernels.json").exists() || fs::read_dir(dir)?.next().is_none();
        ensure!(ours, "{}: not a folder of an earlier dump", dir.display());
        fs::remove_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    }
    fs::create_dir_all(dir.join("results"))?;
    let mut kernels = Vec::new();
    let case_a = steps::of_case_a();
    for variant in shaders::variants() {
        let name = variant.name();
        let needed = variant.is_usual() && case_a.contains(&variant.kernel);
        kernels.push(one(dir, &variant, needed).context(name)?);
    }
    for (name, _, text) in PLANTED {
        let shader = Shader::new(text, &[]).context(name)?;
        let mut kernel = write(dir, name, text, &shader, true)?;
        let own = json!({ "kernel": name, "planted": true, "usual": false, "f16": false, "constants": {} });
        extend(&mut kernel, own);
        kernels.push(kernel);
    }
    for (model, key) in [("5", "hlsl5"), ("6", "hlsl6")] {
        let line = |kernel: &Value| {
            let (file, entry) = (kernel[key].as_str()?, kernel[format!("entry{model}")].as_str()?);
            Some(format!("{}\t{entry}\t{file}\n", kernel["name"].as_str()?))
        };
        fs::write(
            dir.join(format!("hlsl{model}.list")),
            kernels.iter().filter_map(line).collect::<String>(),
        )?;
    }
    fs::write(dir.join("kernels.json"), serde_json::to_string_pretty(&kernels)?)?;
    println!("{} kernels in {}", kernels.len(), dir.display());
    Ok(())
}

/// The files and the entry of one kernel; `case_a` where a training of case a needs it.
fn one(dir: &Path, variant: &Variant, case_a: bool) -> Result<Value> {
    let kernel = variant.kernel;
    let definition = kernel.definition();
    let source = kernel.source(variant.tile);
    let f16 = source.contains("wgpu_cooperative_matrix");
    let constants: Vec<_> =
        definition.constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    let shader = Shader::new(&source, &constants)?;
    let mut all = write(dir, &variant.name(), &kernel.standard_source(variant.tile), &shader, !f16)?;
    let storage = definition.bindings.iter().enumerate().map(|(at, binding)| {
        let kind = if binding.is_written() { "storage" } else { "read-only-storage" };
        json!({ "group": 1, "binding": at, "kind": kind })
    });
    let now = json!({ "group": 0, "binding": 0, "kind": "uniform" });
    let constants: serde_json::Map<_, _> =
        definition.constants.iter().map(|&(n, v)| (n.into(), v.into())).collect();
    let own = json!({
        "kernel": definition.name,
        "tile": variant.tile.map(|tile| tile.to_string()),
        "subgroup": variant.tile.and_then(|tile| tile.subgroup()),
        "usual": variant.is_usual(),
        "case_a": case_a,
        "f16": f16,
        "constants": constants,
        "bindings": std::iter::once(now).chain(storage).collect::<Vec<_>>(),
    });
    extend(&mut all, own);
    Ok(all)
}

/// The files of one kernel; HLSL only where `hlsl`: cooperative matrices have none.
fn write(dir: &Path, name: &str, standard: &str, shader: &Shader, hlsl: bool) -> Result<Value> {
    let mut all = json!({ "name": name });
    let mut put = |key: &str, extension: &str, bytes: &[u8]| -> Result<()> {
        let file = format!("{name}.{extension}");
        fs::write(dir.join(&file), bytes)?;
        all[key] = json!(file);
        Ok(())
    };
    put("wgsl", "wgsl", standard.as_bytes())?;
    let words: Vec<u8> = shader.spirv()?.iter().flat_map(|word| word.to_le_bytes()).collect();
    put("spirv", "spv", &words)?;
    put("metal", "metal", shader.msl().context("MSL")?.as_bytes())?;
    let mut entries = Vec::new();
    if hlsl {
        let subgroups = standard.contains("subgroupBroadcast");
        for (model, key, of) in [("5", "hlsl5", ShaderModel::V5_1), ("6", "hlsl6", ShaderModel::V6_0)] {
            // Shader model 5.1 has no subgroups: a device of FXC reports none.
            if model == "5" && subgroups {
                continue;
            }
            let (text, entry) = shader.hlsl(of).with_context(|| format!("HLSL {model}"))?;
            put(key, &format!("{model}.hlsl"), text.as_bytes())?;
            entries.push((format!("entry{model}"), entry));
        }
    }
    for (key, entry) in entries {
        all[key] = json!(entry);
    }
    let bindings = shader.bound().into_iter().map(|b| {
        let kind = if b.uniform { "uniform" } else { "storage" };
        json!({ "group": b.group, "binding": b.binding, "kind": kind })
    });
    all["bindings"] = bindings.collect();
    Ok(all)
}

fn extend(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// The list that `dump` left.
pub fn kernels(dir: &Path) -> Result<Vec<Value>> {
    let file = dir.join("kernels.json");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{}: run `portability dump` first", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}
