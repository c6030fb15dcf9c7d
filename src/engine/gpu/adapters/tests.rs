//! Ranking and naming on mock machines, and the listing of the real one.

use super::summary::*;
use super::*;
use wgpu::DeviceType;

const GB: u64 = 1 << 30;

/// The default limits of WebGPU, with 2 GiB per buffer.
fn limits(memory: Option<u64>) -> AdapterLimits {
    let webgpu = wgpu::Limits::defaults();
    AdapterLimits {
        memory,
        max_buffer: 2 * GB,
        max_binding: webgpu.max_storage_buffer_binding_size,
        storage_buffers: webgpu.max_storage_buffers_per_shader_stage,
        workgroup_memory: webgpu.max_compute_workgroup_storage_size,
        workgroup_invocations: webgpu.max_compute_invocations_per_workgroup,
        workgroups_per_dimension: webgpu.max_compute_workgroups_per_dimension,
        subgroup_sizes: (32, 32),
    }
}

/// The adapters as drivers would report them, in that order.
struct Machine(Vec<(AdapterSummary, usize)>);

impl Machine {
    fn new() -> Machine {
        Machine(Vec::new())
    }

    /// Adds an adapter as [`AdapterSummary::of`] would see it.
    fn with(mut self, backend: Backend, reported: DeviceType, name: &str, memory_gb: u64) -> Machine {
        let memory = (backend == Backend::Vulkan).then_some(memory_gb * GB);
        let summary = AdapterSummary {
            index: 0,
            name: name.into(),
            kind: kind(reported, name, ""),
            backend,
            driver: String::new(),
            driver_info: String::new(),
            vendor: 0,
            device: 0,
            pci_bus: String::new(),
            limits: limits(memory),
            features: AdapterFeatures::default(),
            problem: None,
        };
        self.0.push((summary, self.0.len()));
        self
    }

    fn vulkan(self, reported: DeviceType, name: &str, memory_gb: u64) -> Machine {
        self.with(Backend::Vulkan, reported, name, memory_gb)
    }

    /// Changes the last added adapter.
    fn but(mut self, change: impl FnOnce(&mut AdapterSummary)) -> Machine {
        change(&mut self.0.last_mut().unwrap().0);
        self
    }

    fn pci(self, vendor: u32, device: u32, bus: &str) -> Machine {
        self.but(|a| (a.vendor, a.device, a.pci_bus) = (vendor, device, bus.into()))
    }

    fn list(self) -> Vec<AdapterSummary> {
        arrange(self.0).into_iter().map(|(summary, _)| summary).collect()
    }
}

fn laptop() -> Machine {
    Machine::new()
        .vulkan(DeviceType::IntegratedGpu, "Intel(R) Iris(R) Xe Graphics (ADL GT2)", 12)
        .pci(0x8086, 0x46a6, "0000:00:02.0")
        .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 4070 Laptop GPU", 8)
        .pci(0x10de, 0x2820, "0000:01:00.0")
        .vulkan(DeviceType::Cpu, "llvmpipe (LLVM 15.0.6, 256 bits)", 2)
}

fn two_discrete(second_gb: u64) -> Machine {
    Machine::new()
        .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 3060", 12)
        .pci(0x10de, 0x2503, "0000:01:00.0")
        .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 4090", second_gb)
        .pci(0x10de, 0x2684, "0000:02:00.0")
}

fn only(reported: DeviceType, name: &str) -> Machine {
    Machine::new().vulkan(reported, name, 2)
}

/// The choice: the adapter's name, or "cpu".
fn takes(adapters: &[AdapterSummary], wanted: &str) -> String {
    match choose(Ok(adapters), wanted) {
        Ok(Chosen { choice: Choice::Cpu, .. }) => "cpu".into(),
        Ok(Chosen { choice: Choice::Adapter(index), name, .. }) => {
            assert_eq!(adapters[index].name, name);
            name
        }
        Err(error) => panic!("{error}"),
    }
}

fn reason(adapters: &[AdapterSummary], wanted: &str) -> String {
    choose(Ok(adapters), wanted).unwrap().reason
}

#[test]
fn the_choice_follows_the_kinds_of_the_adapters() {
    let llvmpipe = "llvmpipe (LLVM 15.0.6, 256 bits)";
    let venus = "Virtio-GPU Venus (NVIDIA GeForce RTX 3080)";
    let desktop_egpu = Machine::new()
        .vulkan(DeviceType::DiscreteGpu, "NVIDIA T500", 4)
        .pci(0x10de, 0x1fbb, "0000:01:00.0")
        .vulkan(DeviceType::DiscreteGpu, "AMD Radeon RX 7900 XTX (RADV NAVI31)", 24)
        .pci(0x1002, 0x744c, "0000:2f:00.0")
        .vulkan(DeviceType::IntegratedGpu, "Intel(R) UHD Graphics (CML GT2)", 16)
        .pci(0x8086, 0x9b41, "0000:00:02.0");
    let too_small = only(DeviceType::DiscreteGpu, "Old GPU").but(|a| {
        a.limits.storage_buffers = 4;
        a.problem = problem(&a.limits, true);
    });
    let too_small_beside = too_small_and("Intel(R) HD Graphics 520");
    // (machine, description, auto, gpu)
    let machines: [(Machine, &str, &str, &str); 17] = [
        (
            laptop(),
            "laptop with both",
            "NVIDIA GeForce RTX 4070 Laptop GPU",
            "NVIDIA GeForce RTX 4070 Laptop GPU",
        ),
        (two_discrete(24), "larger second", "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        (two_discrete(8), "larger first", "NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3060"),
        (two_discrete(12), "equal", "NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3060"),
        (only(DeviceType::Cpu, llvmpipe), "llvmpipe", "cpu", llvmpipe),
        (only(DeviceType::Other, llvmpipe), "llvmpipe as other", "cpu", llvmpipe),
        (only(DeviceType::IntegratedGpu, llvmpipe), "llvmpipe as integrated", "cpu", llvmpipe),
        (
            only(DeviceType::Cpu, "SwiftShader Device (Subzero)"),
            "SwiftShader",
            "cpu",
            "SwiftShader Device (Subzero)",
        ),
        (
            Machine::new().with(Backend::Dx12, DeviceType::IntegratedGpu, "Microsoft Basic Render Driver", 0),
            "WARP",
            "cpu",
            "Microsoft Basic Render Driver",
        ),
        (
            Machine::new().with(Backend::Metal, DeviceType::IntegratedGpu, "Apple M3 Max", 0),
            "Apple M",
            "Apple M3 Max",
            "Apple M3 Max",
        ),
        (
            Machine::new().with(Backend::Metal, DeviceType::IntegratedGpu, "Apple Paravirtual device", 0),
            "virtual Mac",
            "cpu",
            "Apple Paravirtual device",
        ),
        (only(DeviceType::VirtualGpu, venus), "Venus", "cpu", venus),
        (
            only(DeviceType::DiscreteGpu, venus).vulkan(DeviceType::Cpu, llvmpipe, 2),
            "Venus as discrete",
            "cpu",
            venus,
        ),
        (
            only(DeviceType::VirtualGpu, "Virtio-GPU Venus (llvmpipe (LLVM 19))"),
            "Venus on llvmpipe",
            "cpu",
            "Virtio-GPU Venus (llvmpipe (LLVM 19))",
        ),
        (
            desktop_egpu,
            "external GPU",
            "AMD Radeon RX 7900 XTX (RADV NAVI31)",
            "AMD Radeon RX 7900 XTX (RADV NAVI31)",
        ),
        (too_small_beside, "small discrete", "Intel(R) HD Graphics 520", "Intel(R) HD Graphics 520"),
        (only(DeviceType::Other, "GPU of a new kind"), "other", "cpu", "GPU of a new kind"),
    ];
    for (machine, what, auto, gpu) in machines {
        let adapters = machine.list();
        assert_eq!(takes(&adapters, "auto"), auto, "auto on {what}");
        assert_eq!(takes(&adapters, " GPU"), gpu, "gpu on {what}");
        assert_eq!(takes(&adapters, "CPU"), "cpu", "cpu on {what}");
        let software = adapters.iter().find(|a| a.name == gpu).unwrap().kind == AdapterKind::Software;
        assert_eq!(reason(&adapters, "gpu").contains("warning"), software, "{what}");
        for (at, adapter) in adapters.iter().enumerate() {
            assert_eq!(adapter.index, at, "{what}");
            if adapter.problem.is_none() {
                assert_eq!(takes(&adapters, &at.to_string()), adapter.name, "index on {what}");
                assert_eq!(takes(&adapters, &adapter.name), adapter.name, "name on {what}");
            }
        }
    }
    let alone = too_small.list();
    assert_eq!(takes(&alone, "auto"), "cpu");
    assert!(matches!(choose(Ok(&alone), "gpu"), Err(ChooseError::NoneUsable { .. })));
}

/// A discrete GPU with a problem and an integrated one without.
fn too_small_and(integrated: &str) -> Machine {
    only(DeviceType::DiscreteGpu, "Old GPU").but(|a| a.problem = problem(&a.limits, false)).vulkan(
        DeviceType::IntegratedGpu,
        integrated,
        4,
    )
}

#[test]
fn reasons_name_the_deciding_property() {
    assert_eq!(reason(&laptop().list(), "auto"), "it is the only discrete GPU");
    assert_eq!(
        reason(&two_discrete(24).list(), "auto"),
        "it is the discrete GPU with the most memory (25.8 GB)"
    );
    assert_eq!(reason(&two_discrete(12).list(), "auto"), "it is the first of several equal discrete GPUs");
    let larger = two_discrete(12).but(|a| a.limits.max_buffer = 4 * GB).list();
    assert_eq!(reason(&larger, "auto"), "it is the discrete GPU with the largest buffers (4.29 GB)");
    let integrated = only(DeviceType::IntegratedGpu, "Intel(R) UHD Graphics 620").list();
    assert_eq!(reason(&integrated, "auto"), "there is no discrete GPU and it is the only integrated GPU");
    assert_eq!(
        reason(&too_small_and("Intel(R) UHD Graphics 620").list(), "auto"),
        "there is no usable discrete GPU and it is the only usable integrated GPU"
    );
    let software = only(DeviceType::Cpu, "llvmpipe (LLVM 15)").list();
    assert_eq!(
        reason(&software, "auto"),
        "there is no discrete or integrated GPU; --device gpu would take the software GPU llvmpipe (LLVM 15)"
    );
    let refusing = only(DeviceType::DiscreteGpu, "Old GPU").but(|a| a.problem = Some("it is old".into()));
    assert_eq!(
        reason(&refusing.vulkan(DeviceType::Cpu, "llvmpipe", 2).list(), "auto"),
        "there is no usable discrete or integrated GPU: Old GPU: it is old; --device gpu would take the software \
         GPU llvmpipe"
    );
    assert_eq!(
        reason(&software, "gpu"),
        "there is no hardware GPU; warning: this is a software GPU, slower than --device cpu"
    );
    assert_eq!(reason(&laptop().list(), "1"), "--device gives its index");
    assert_eq!(reason(&laptop().list(), "iris"), "--device gives its name");
}

#[test]
fn a_device_with_two_backends_is_listed_once() {
    let windows = || {
        Machine::new()
            .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 4070", 12)
            .pci(0x10de, 0x2786, "0000:01:00.0")
            .with(Backend::Dx12, DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 4070", 0)
            .pci(0x10de, 0x2786, "VEN_10DE&DEV_2786")
            .with(Backend::Dx12, DeviceType::IntegratedGpu, "AMD Radeon(TM) Graphics", 0)
            .pci(0x1002, 0x164e, "VEN_1002&DEV_164E")
            .with(Backend::Dx12, DeviceType::Cpu, "Microsoft Basic Render Driver", 0)
            .pci(0x1414, 0x8c, "")
    };
    let adapters = windows().list();
    let seen: Vec<_> = adapters.iter().map(|a| (a.backend, a.name.as_str())).collect();
    assert_eq!(
        seen,
        [
            (Backend::Vulkan, "NVIDIA GeForce RTX 4070"),
            (Backend::Dx12, "AMD Radeon(TM) Graphics"),
            (Backend::Dx12, "Microsoft Basic Render Driver"),
        ]
    );
    assert_eq!(takes(&adapters, "RTX"), "NVIDIA GeForce RTX 4070");

    // If the Vulkan driver lacks something, DX12 is used.
    let mut machine = windows();
    machine.0[0].0.problem = Some("it has no compute shaders".into());
    assert_eq!(machine.list()[0].backend, Backend::Dx12);
    // The same if the driver only translates to DX12.
    let mut machine = windows();
    machine.0[0].0.name = "Microsoft Direct3D12 (NVIDIA GeForce RTX 4070)".into();
    assert_eq!(machine.list()[0].backend, Backend::Dx12);
}

#[test]
fn equal_cards_are_listed_twice_and_two_drivers_of_a_card_once() {
    let card = |machine: Machine, backend, bus: &str| {
        machine.with(backend, DeviceType::DiscreteGpu, "NVIDIA RTX A6000", 48).pci(0x10de, 0x2230, bus)
    };
    let mut machine = card(Machine::new(), Backend::Vulkan, "0000:41:00.0");
    machine = card(machine, Backend::Vulkan, "0000:01:00.0");
    // DX12 reports the same address for both.
    machine = card(machine, Backend::Dx12, "0000:01:00.0");
    machine = card(machine, Backend::Dx12, "0000:01:00.0");
    let adapters = machine.list();
    let seen: Vec<_> = adapters.iter().map(|a| (a.backend, a.pci_bus.as_str())).collect();
    assert_eq!(seen, [(Backend::Vulkan, "0000:01:00.0"), (Backend::Vulkan, "0000:41:00.0")]);

    let radeon = |machine: Machine, name| {
        machine.vulkan(DeviceType::DiscreteGpu, name, 16).pci(0x1002, 0x73bf, "0000:03:00.0")
    };
    let twice = || {
        radeon(
            radeon(Machine::new(), "AMD Radeon RX 6800 XT (RADV NAVI21)"),
            "AMD Radeon RX 6800 XT (AMD open-source)",
        )
    };
    assert_eq!(twice().list().len(), 1);
    assert_eq!(twice().list()[0].name, "AMD Radeon RX 6800 XT (RADV NAVI21)");
    let mut first_fails = twice();
    first_fails.0[0].0.problem = Some("it has no compute shaders".into());
    assert_eq!(first_fails.list()[0].name, "AMD Radeon RX 6800 XT (AMD open-source)");
    // Devices without an address are never merged.
    let unknown = Machine::new().vulkan(DeviceType::Cpu, "llvmpipe", 2).pci(0x10005, 0, "");
    assert_eq!(unknown.vulkan(DeviceType::Cpu, "llvmpipe", 2).pci(0x10005, 0, "").list().len(), 2);
}

#[test]
fn the_order_does_not_depend_on_the_order_of_the_drivers() {
    let names = |machine: Machine| machine.list().into_iter().map(|a| a.name).collect::<Vec<_>>();
    let mut reversed = laptop();
    reversed.0.reverse();
    assert_eq!(names(laptop()), names(reversed));
    let mut reversed = two_discrete(24);
    reversed.0.reverse();
    assert_eq!(names(two_discrete(24)), names(reversed));
}

#[test]
fn an_unknown_device_is_refused_with_a_list_of_devices() {
    let refused =
        |machine: Machine, wanted: &str| choose(Ok(&machine.list()), wanted).expect_err(wanted).to_string();
    let there = "0 NVIDIA GeForce RTX 3060, 1 NVIDIA GeForce RTX 4090";
    for wanted in ["nvidia", "GeForce RTX", "RTX"] {
        let text = refused(two_discrete(24), wanted);
        assert_eq!(
            text,
            format!("--device {wanted}: several adapters match: {there}; give an index or more of the name")
        );
    }
    for wanted in ["Radeon", "2", "99", "-1", "", "1.5", "999", "18446744073709551616"] {
        let text = refused(two_discrete(24), wanted);
        assert_eq!(text, format!("--device {wanted}: no such device; there is {there}, or cpu"));
    }
    // "4090" is not an index here.
    assert_eq!(takes(&two_discrete(24).list(), "4090"), "NVIDIA GeForce RTX 4090");

    let text = refused(too_small_and("Intel(R) UHD Graphics 620"), "old");
    assert_eq!(
        text,
        "--device old: Old GPU cannot be used: it has no compute shaders; there is 1 Intel(R) UHD Graphics \
         620, or cpu"
    );
    let text = refused(only(DeviceType::DiscreteGpu, "Old").but(|a| a.problem = Some("bad".into())), "gpu");
    assert!(text.contains("no adapter can be used: Old: bad"), "{text}");
    let text = refused(only(DeviceType::DiscreteGpu, "Old").but(|a| a.problem = Some("bad".into())), "7");
    assert!(text.ends_with("there is cpu alone"), "{text}");
}

#[test]
fn whole_names_come_before_parts_and_drivers_come_last() {
    let machine = || {
        Machine::new()
            .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 3060 Ti", 8)
            .vulkan(DeviceType::DiscreteGpu, "NVIDIA GeForce RTX 3060", 12)
            .vulkan(DeviceType::IntegratedGpu, "AMD Radeon Graphics", 4)
            .but(|a| a.driver = "radv".into())
    };
    let adapters = machine().list();
    assert_eq!(takes(&adapters, "nvidia geforce rtx 3060"), "NVIDIA GeForce RTX 3060");
    assert_eq!(takes(&adapters, "3060 ti"), "NVIDIA GeForce RTX 3060 Ti");
    assert_eq!(takes(&adapters, "RADV"), "AMD Radeon Graphics");
    // Only one of the two can be used.
    let mut one_left = machine().list();
    one_left[1].problem = Some("bad".into());
    assert_eq!(takes(&one_left, "geforce"), "NVIDIA GeForce RTX 3060 Ti");
}

#[test]
fn without_an_adapter_auto_uses_the_cpu_and_gpu_is_refused_with_the_cause() {
    let cause = NoAdapter::NoDriver;
    let auto = choose(Err(&cause), "auto").unwrap();
    assert_eq!((auto.choice, auto.name.as_str()), (Choice::Cpu, "native CPU engine"));
    assert_eq!(auto.reason, format!("there is no GPU: {cause}"));
    assert_eq!(choose(Err(&cause), "cpu").unwrap().choice, Choice::Cpu);
    for wanted in ["gpu", "0", "RTX"] {
        let error = choose(Err(&cause), wanted).unwrap_err();
        assert!(error.to_string().contains(&cause.to_string()), "{error}");
    }
}

#[test]
fn only_limits_below_the_defaults_of_webgpu_are_a_problem() {
    assert_eq!(problem(&limits(None), true), None);
    assert_eq!(problem(&limits(None), false).unwrap(), "it has no compute shaders");
    let small = AdapterLimits { storage_buffers: 4, ..limits(None) };
    assert_eq!(problem(&small, true).unwrap(), "it has 4 storage buffers in a shader, 8 are needed");
    let small = AdapterLimits { workgroup_memory: 16_383, ..limits(None) };
    assert_eq!(problem(&small, true).unwrap(), "it has 16383 bytes of workgroup memory, 16384 are needed");
    let small = AdapterLimits { workgroup_invocations: 128, ..limits(None) };
    assert_eq!(problem(&small, true).unwrap(), "it has 128 invocations in a workgroup, 256 are needed");
}

#[test]
fn software_is_recognised_by_name_and_hardware_is_not_mistaken_for_it() {
    for name in ["SwiftShader Device (LLVM 10.0.0)", "lavapipe", "softpipe", "Microsoft WARP", "Foo"] {
        let driver = if name == "Foo" { "llvmpipe" } else { "" };
        assert_eq!(kind(DeviceType::DiscreteGpu, name, driver), AdapterKind::Software, "{name}");
    }
    for name in ["NVIDIA H100 80GB HBM3", "AMD Radeon Pro Warpath", "Intel(R) Arc(tm) A770 Graphics"] {
        assert_eq!(kind(DeviceType::DiscreteGpu, name, ""), AdapterKind::Discrete, "{name}");
    }
}

mod no_adapter {
    use std::path::PathBuf;

    use super::super::no_adapter::{Loader, Surroundings, closed_node};
    use super::*;

    fn seen(loader: Loader) -> Surroundings {
        Surroundings { loader, driver_files: None, closed_node: None, nvidia_node: None }
    }

    #[test]
    fn the_first_matching_cause_is_reported() {
        let files = Some(("VK_DRIVER_FILES", "/x.json".to_owned()));
        let node = Some(PathBuf::from("/dev/dri/renderD128"));
        let nvidia = Some(PathBuf::from("/dev/nvidiactl"));
        let of = NoAdapter::of;
        assert_eq!(
            of(Surroundings { nvidia_node: nvidia.clone(), ..seen(Loader::Missing) }),
            NoAdapter::NoLoader
        );
        assert_eq!(of(seen(Loader::NoDriver)), NoAdapter::NoDriver);
        assert_eq!(of(seen(Loader::Works)), NoAdapter::NoDevice);
        assert_eq!(of(seen(Loader::NotUsed)), NoAdapter::NoSystemDevice);
        let text = of(Surroundings { closed_node: node.clone(), ..seen(Loader::Works) }).to_string();
        assert!(text.contains("/dev/dri/renderD128") && text.contains("usermod"), "{text}");
        let text = of(Surroundings { nvidia_node: nvidia, ..seen(Loader::NoDriver) }).to_string();
        assert!(text.contains("NVIDIA_DRIVER_CAPABILITIES=all"), "{text}");
        let text =
            of(Surroundings { driver_files: files, closed_node: node, ..seen(Loader::NoDriver) }).to_string();
        assert!(text.starts_with("VK_DRIVER_FILES=/x.json leaves no usable"), "{text}");
    }

    #[test]
    fn every_cause_is_one_line_with_a_remedy() {
        let path = PathBuf::from("/dev/x");
        let all = [
            NoAdapter::NoLoader,
            NoAdapter::DriverFiles { variable: "VK_ICD_FILENAMES", value: "x".into() },
            NoAdapter::NoPermission { path: path.clone() },
            NoAdapter::NoNvidiaVulkan { path },
            NoAdapter::NoDriver,
            NoAdapter::NoDevice,
            NoAdapter::NoSystemDevice,
        ];
        for cause in all {
            let text = cause.to_string();
            assert!(!text.contains('\n') && !text.contains("  ") && !text.ends_with('.'), "{text}");
            let remedies = ["install", "update", "unset", "add", "use"];
            assert!(remedies.iter().any(|remedy| text.contains(remedy)), "{text}");
        }
    }

    #[test]
    fn accessible_render_nodes_are_not_a_cause() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(closed_node(folder.path()), None);
        assert_eq!(closed_node(&folder.path().join("missing")), None);
        std::fs::write(folder.path().join("renderD128"), "").unwrap();
        assert_eq!(closed_node(folder.path()), None);
    }
}

#[test]
fn this_machine_lists_adapters_or_a_cause() {
    match list() {
        Ok(found) => {
            for (index, (summary, adapter)) in found.iter().enumerate() {
                assert_eq!(summary.index, index);
                assert_eq!(summary.name, adapter.get_info().name.trim());
                assert!(summary.problem.is_some() || summary.limits.max_buffer > 0);
                eprintln!("{summary:?}");
            }
        }
        Err(cause) => eprintln!("no adapter: {cause}"),
    }
}

/// Runs the test above in its own process, whose environment hides the drivers.
#[cfg(target_os = "linux")]
#[test]
fn missing_drivers_are_a_cause_and_no_panic() {
    let listing = "engine::gpu::adapters::tests::this_machine_lists_adapters_or_a_cause";
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", listing, "--nocapture"])
            .env_remove("VK_DRIVER_FILES")
            .env(variable, "/nonexistent")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let loader = "no adapter: no Vulkan loader";
        let files = format!("no adapter: {variable}=/nonexistent leaves no usable Vulkan driver");
        assert!(told.contains(loader) || told.contains(&files), "{told}");
    }
}
