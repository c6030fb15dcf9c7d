//! `bngpu devices`: the adapters, and which one `--device` takes and why.

use serde_json::{Value, json};

use super::{Failure, start_log, tell};
use crate::base::text::{Align, bytes, columns, count};
use crate::cli::{DevicesArgs, Exit};
use crate::engine::cpu::{self, threads};
use crate::engine::gpu::adapters::{self, AdapterSummary, Choice, ChooseError, Chosen, NoAdapter};
use crate::engine::{DeviceRequest, lanes, self_test};
use crate::report::stdout;
use crate::spec::{DeviceUse, Precision};

/// Widest line of the table.
const WIDTH: usize = 80;

/// Runs the command.
///
/// # Errors
/// If `--device` names no device, or a kernel fails its test.
pub fn run(args: DevicesArgs) -> Result<Exit, Failure> {
    start_log(args.reporting.log, args.reporting.quiet);
    if args.self_test {
        return self_test(args.device.as_deref().unwrap_or("gpu"), args.precision, args.reporting.json);
    }
    let found =
        adapters::list().map(|found| found.into_iter().map(|(summary, _)| summary).collect::<Vec<_>>());
    let text = show(found.as_deref(), args.device.as_deref(), args.reporting.json).map_err(Failure::from)?;
    let threads = match args.reporting.json {
        true => String::new(),
        false => wrapped(&format!("The {} has {}.", cpu::NAME, threads::in_use())),
    };
    stdout::show(&(text + &threads)).map_err(Failure::Stdout)?;
    Ok(Exit::Done)
}

/// Compares every kernel of the device with the CPU reference in f64.
fn self_test(device: &str, precision: Precision, as_json: bool) -> Result<Exit, Failure> {
    let using = DeviceUse { precision, ..DeviceUse::default() };
    let factory = lanes::source(&DeviceRequest { device, using })?.factory_of_it_alone();
    tell("device", factory.why());
    let outcomes = self_test::self_test(&|population, table| factory.build(population, table))?;
    let failed = outcomes.iter().filter(|o| !o.passed()).count();
    let text = if as_json {
        let kernels: Vec<Value> = outcomes
            .iter()
            .map(|o| json!({ "kernel": o.kernel, "runs": o.runs, "error_over_bound": o.worst, "passed": o.passed() }))
            .collect();
        format!(
            "{:#}\n",
            json!({ "device": factory.name(), "reason": factory.reason(), "passed": failed == 0, "kernels": kernels })
        )
    } else {
        const ALIGN: [Align; 4] = [Align::Left, Align::Right, Align::Right, Align::Left];
        let head = ["kernel", "runs", "error / bound", ""].map(String::from).to_vec();
        let rows = outcomes.iter().map(|o| {
            let verdict = if o.passed() { "ok".into() } else { format!("WRONG: {}", o.detail) };
            vec![o.kernel.clone(), o.runs.to_string(), format!("{:.3}", o.worst), verdict]
        });
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        columns(&rows, &ALIGN)
    };
    stdout::print(&text).map_err(Failure::Stdout)?;
    if failed > 0 { Err(Failure::SelfTest(failed, outcomes.len())) } else { Ok(Exit::Done) }
}

/// The command's output: of all adapters, or of the one that `device` names.
///
/// # Errors
/// If `device` names none.
fn show(
    found: Result<&[AdapterSummary], &NoAdapter>,
    device: Option<&str>,
    json: bool,
) -> Result<String, ChooseError> {
    let wanted = device.unwrap_or("auto");
    let chosen = adapters::choose(found, wanted)?;
    let all = found.unwrap_or_default();
    let shown: Vec<&AdapterSummary> =
        all.iter().filter(|a| device.is_none() || chosen.choice == Choice::Adapter(a.index)).collect();
    if json {
        let object = object(&shown, found.err(), wanted, &chosen);
        return Ok(format!("{object:#}\n"));
    }
    let mut text = if shown.is_empty() { String::new() } else { table(&shown) + "\n" };
    if device.is_some() {
        shown.iter().for_each(|adapter| text += &(details(adapter) + "\n"));
    }
    let flag = if device.is_some() { "--device " } else { "" };
    let article = if chosen.choice == Choice::Cpu { "the " } else { "" };
    text += &wrapped(&format!("{flag}{wanted} takes {article}{}, because {}.", chosen.name, chosen.reason));
    Ok(text)
}

/// The output of `--json`.
///
/// `adapters`: a list of [`AdapterSummary`]; `no_adapter`: null, or why there is none; `device`: the value of
/// `--device`; `takes`: what it takes, with `engine` (`gpu` or `cpu`), `index` (null for `cpu`), `name`, `reason`;
/// `threads`: those of the CPU engine, with `count` and `reason`.
fn object(shown: &[&AdapterSummary], cause: Option<&NoAdapter>, wanted: &str, chosen: &Chosen) -> Value {
    let (engine, index) = match chosen.choice {
        Choice::Cpu => ("cpu", None),
        Choice::Adapter(index) => ("gpu", Some(index)),
    };
    let threads = threads::in_use();
    json!({
        "adapters": shown,
        "no_adapter": cause.map(ToString::to_string),
        "device": wanted,
        "takes": { "engine": engine, "index": index, "name": chosen.name, "reason": chosen.reason },
        "threads": { "count": threads.count, "reason": threads.why.to_string() },
    })
}

/// A line for each adapter, at most [`WIDTH`] columns wide, and one more for a problem.
fn table(adapters: &[&AdapterSummary]) -> String {
    const ALIGN: [Align; 6] =
        [Align::Right, Align::Left, Align::Left, Align::Left, Align::Left, Align::Right];
    let row = |name: String, a: &AdapterSummary| {
        let memory = a.limits.memory.map_or_else(|| "?".into(), bytes);
        let kind = a.kind.to_string();
        vec![a.index.to_string(), name, kind, a.backend.to_string(), cut(&a.driver, 14), memory]
    };
    let head = ["#", "name", "kind", "backend", "driver", "memory"].map(str::to_owned).to_vec();
    let rows = |name: &dyn Fn(&AdapterSummary) -> String| {
        let rows = adapters.iter().map(|a| row(name(a), a));
        [head.clone()].into_iter().chain(rows).collect::<Vec<_>>()
    };
    // The width that the other columns leave for the name.
    let others = columns(&rows(&|_| String::new()), &ALIGN);
    let others = others.lines().map(|line| line.chars().count()).max().unwrap_or(0) - "name".len();
    let lines = columns(&rows(&|a| cut(&a.name, WIDTH - others)), &ALIGN);
    let mut lines = lines.lines();
    let mut text = String::new();
    text += lines.next().unwrap_or_default();
    text.push('\n');
    for (line, adapter) in lines.zip(adapters) {
        text += line;
        text.push('\n');
        if let Some(problem) = &adapter.problem {
            text += &format!("     cannot be used: {problem}\n");
        }
    }
    text
}

/// All other properties of an adapter.
fn details(a: &AdapterSummary) -> String {
    let (limits, features) = (&a.limits, &a.features);
    let yes = |has: bool| if has { "yes" } else { "no" }.to_owned();
    let (smallest, largest) = limits.subgroup_sizes;
    let subgroups = match features.subgroups {
        false => "no".into(),
        true if smallest == largest => smallest.to_string(),
        true => format!("{smallest} to {largest}"),
    };
    let no_matrices = features.cooperative_matrices.is_empty().then(|| "no".to_owned());
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let mut rows = vec![
        row("name", a.name.clone()),
        row("driver", format!("{} {}", a.driver, a.driver_info).trim().to_owned()),
        row("vendor, device", format!("{:#06x}, {:#06x}", a.vendor, a.device)),
        row("PCI bus", if a.pci_bus.is_empty() { "?".into() } else { a.pci_bus.clone() }),
        row("largest buffer", bytes(limits.max_buffer)),
        row("largest binding", bytes(limits.max_binding)),
        row("storage buffers", count(limits.storage_buffers.into())),
        row("workgroup memory", bytes(limits.workgroup_memory.into())),
        row("workgroup invocations", count(limits.workgroup_invocations.into())),
        row("workgroups along a side", count(limits.workgroups_per_dimension.into())),
        row("subgroups", subgroups),
        row("f16", yes(features.f16)),
        row("timestamps", yes(features.timestamps)),
        row("pipeline cache", yes(features.pipeline_cache)),
        row("--precision f16", yes(features.precision_f16)),
    ];
    for (at, matrix) in features.cooperative_matrices.iter().chain(&no_matrices).enumerate() {
        rows.push(row(if at == 0 { "cooperative matrices" } else { "" }, matrix.clone()));
    }
    columns(&rows, &[Align::Left, Align::Left])
}

/// `text` in at most `width` characters, with … at the end if it is cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// `text` in lines of at most [`WIDTH`] columns, longer words on lines of their own.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::adapters::{AdapterFeatures, AdapterKind, AdapterLimits, Backend};

    fn adapter(index: usize, kind: AdapterKind, name: &str) -> AdapterSummary {
        AdapterSummary {
            index,
            name: name.into(),
            kind,
            backend: Backend::Vulkan,
            driver: "Intel open-source Mesa driver".into(),
            driver_info: "Mesa 25.0.7".into(),
            vendor: 0x8086,
            device: 0x46a6,
            pci_bus: "0000:00:02.0".into(),
            limits: AdapterLimits {
                memory: Some(8_000_000_000),
                max_buffer: 2_147_483_647,
                max_binding: 134_217_728,
                storage_buffers: 16,
                workgroup_memory: 32_768,
                workgroup_invocations: 1024,
                workgroups_per_dimension: 65_535,
                subgroup_sizes: (8, 32),
            },
            features: AdapterFeatures {
                subgroups: true,
                cooperative_matrices: vec!["16x16x16 f16 -> f32".into(), "16x16x16 f16 -> f16".into()],
                ..AdapterFeatures::default()
            },
            problem: None,
        }
    }

    fn three() -> Vec<AdapterSummary> {
        let long = "NVIDIA RTX 6000 Ada Generation Laptop GPU with a very long name 日本";
        let mut old = adapter(2, AdapterKind::Integrated, "Old GPU");
        old.problem = Some("it has no compute shaders".into());
        old.limits.memory = None;
        vec![
            adapter(0, AdapterKind::Discrete, long),
            adapter(1, AdapterKind::Integrated, "Intel(R) Iris(R) Xe Graphics"),
            old,
        ]
    }

    #[test]
    fn the_table_fits_eighty_columns_and_ends_with_what_auto_takes() {
        let text = show(Ok(&three()), None, false).unwrap();
        assert_eq!(
            text,
            "  #  name                           kind        backend  driver           memory
  0  NVIDIA RTX 6000 Ada Generati…  discrete    Vulkan   Intel open-so…  8.00 GB
  1  Intel(R) Iris(R) Xe Graphics   integrated  Vulkan   Intel open-so…  8.00 GB
  2  Old GPU                        integrated  Vulkan   Intel open-so…        ?
     cannot be used: it has no compute shaders

auto takes NVIDIA RTX 6000 Ada Generation Laptop GPU with a very long name 日本,
because it is the only usable discrete GPU.
"
        );
    }

    #[test]
    fn every_line_of_every_machine_fits() {
        let lengths = [1, 7, 14, 15, 30, 31, 60];
        let drivers = ["", "radv", "NVIDIA", "SwiftShader driver", "Intel open-source Mesa driver"];
        for (length, driver) in lengths.iter().flat_map(|l| drivers.map(|d| (*l, d))) {
            let mut all = three();
            all.iter_mut().for_each(|a| (a.name, a.driver) = ("x".repeat(length), driver.into()));
            let text = table(&all.iter().collect::<Vec<_>>());
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= WIDTH, "{widest} columns:\n{text}");
            assert!(length > 20 || !text.lines().nth(1).unwrap().contains("x…"), "{text}");
        }
    }

    #[test]
    fn one_device_is_shown_with_all_properties() {
        let text = show(Ok(&three()), Some("iris"), false).unwrap();
        for line in [
            "  driver                   Intel open-source Mesa driver Mesa 25.0.7",
            "  vendor, device           0x8086, 0x46a6",
            "  subgroups                8 to 32",
            "  cooperative matrices     16x16x16 f16 -> f32",
            "                           16x16x16 f16 -> f16",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("NVIDIA"), "{text}");
        let end = "--device iris takes Intel(R) Iris(R) Xe Graphics, because --device gives its name.";
        assert!(text.ends_with(&wrapped(end)), "{text}");
    }

    #[test]
    fn without_an_adapter_the_cause_is_shown() {
        let text = show(Err(&NoAdapter::NoLoader), None, false).unwrap();
        assert!(
            text.starts_with("auto takes the native CPU engine, because there is no GPU: no Vulkan"),
            "{text}"
        );
        assert!(text.contains("mesa-vulkan-drivers"), "{text}");
        assert_eq!(show(Ok(&three()), Some("cpu"), false).unwrap().lines().count(), 1);
        assert!(show(Err(&NoAdapter::NoLoader), Some("gpu"), false).is_err());
        assert!(show(Ok(&three()), Some("Radeon"), true).is_err());
    }

    #[test]
    fn json_has_the_documented_keys() {
        let json =
            |found, device| -> Value { serde_json::from_str(&show(found, device, true).unwrap()).unwrap() };
        let all = three();
        let object = json(Ok(&all), None);
        let keys: Vec<_> = object.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["adapters", "no_adapter", "device", "takes", "threads"]);
        assert_eq!(object["adapters"].as_array().unwrap().len(), 3);
        assert_eq!(object["adapters"][1]["kind"], "integrated");
        assert_eq!(object["adapters"][1]["backend"], "vulkan");
        assert_eq!(object["adapters"][1]["limits"]["memory"], 8_000_000_000u64);
        assert_eq!(object["adapters"][2]["problem"], "it has no compute shaders");
        assert_eq!((&object["device"], &object["no_adapter"]), (&json!("auto"), &Value::Null));
        assert_eq!(object["takes"]["engine"], "gpu");
        assert_eq!(object["takes"]["index"], 0);
        assert_eq!(json(Ok(&all), Some("1"))["adapters"].as_array().unwrap().len(), 1);

        let object = json(Err(&NoAdapter::NoDriver), None);
        assert_eq!(object["adapters"], json!([]));
        assert_eq!(object["no_adapter"], NoAdapter::NoDriver.to_string());
        assert_eq!(object["takes"]["engine"], "cpu");
        assert_eq!(object["takes"]["index"], Value::Null);
    }
}
