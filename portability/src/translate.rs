//! WGSL into what each backend of wgpu hands to a driver, by naga, with the options of wgpu-hal 30.
//!
//! The options are those of `create_shader_module_trusted(.., ShaderRuntimeChecks::unchecked())` and of workgroup memory
//! that is not zeroed, which is how `engine::gpu::Device` makes its pipelines.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};

/// A kernel's module with its overrides resolved.
pub struct Shader {
    module: Module,
    info: ModuleInfo,
}

const ENTRY: &str = "main";
const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};

/// A buffer that a kernel binds.
pub struct Bound {
    pub group: u32,
    pub binding: u32,
    pub uniform: bool,
}

impl Shader {
    /// Parses and validates `wgsl`, and sets its overrides.
    pub fn new(wgsl: &str, constants: &[(String, f64)]) -> Result<Shader> {
        let module = naga::front::wgsl::Frontend::new_with_options(naga::front::wgsl::Options {
            capabilities: Capabilities::all(),
            ..naga::front::wgsl::Options::new()
        })
        .parse(wgsl)
        .map_err(|e| anyhow!("{}", e.emit_to_string(wgsl)))?;
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
        let info = validator.validate(&module).map_err(|e| anyhow!("{}", e.emit_to_string(wgsl)))?;
        let constants = constants.iter().map(|(name, value)| (name.clone(), *value)).collect();
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &module,
            &info,
            Some((ShaderStage::Compute, ENTRY)),
            &constants,
        )
        .context("overrides")?;
        Ok(Shader { module: module.into_owned(), info: info.into_owned() })
    }

    /// The buffers that it binds.
    pub fn bound(&self) -> Vec<Bound> {
        let variables = self.module.global_variables.iter();
        variables
            .filter_map(|(_, variable)| {
                let binding = variable.binding.as_ref()?;
                let uniform = variable.space == AddressSpace::Uniform;
                Some(Bound { group: binding.group, binding: binding.binding, uniform })
            })
            .collect()
    }

    /// SPIR-V 1.6, as for a device of Vulkan 1.3.
    pub fn spirv(&self) -> Result<Vec<u32>> {
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::empty(),
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..Default::default()
        };
        let pipeline =
            spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: ENTRY.to_owned() };
        Ok(spv::write_vec(&self.module, &self.info, &options, Some(&pipeline))?)
    }

    /// HLSL for a shader model, and its entry point's name.
    pub fn hlsl(&self, shader_model: hlsl::ShaderModel) -> Result<(String, String)> {
        // Registers are counted by class, as `create_pipeline_layout` does; b0 holds the grid's size.
        let mut binding_map = BTreeMap::new();
        let (mut cbv, mut srv, mut uav) = (1, 0, 0);
        let mut variables: Vec<_> = self.module.global_variables.iter().map(|(_, v)| v).collect();
        variables.sort_by_key(|v| v.binding.as_ref().map(|b| (b.group, b.binding)));
        for variable in variables {
            let Some(binding) = variable.binding else { continue };
            let class = match variable.space {
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => &mut uav,
                AddressSpace::Storage { .. } => &mut srv,
                _ => &mut cbv,
            };
            let target = hlsl::BindTarget { space: 0, register: *class, ..Default::default() };
            *class += 1;
            binding_map.insert(binding, target);
        }
        let options = hlsl::Options {
            shader_model,
            binding_map,
            fake_missing_bindings: false,
            special_constants_binding: Some(hlsl::BindTarget::default()),
            zero_initialize_workgroup_memory: false,
            restrict_indexing: false,
            force_loop_bounding: false,
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, ENTRY.to_owned())) };
        let mut text = String::new();
        let mut names = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)?
            .entry_point_names;
        let name = names.pop().context("no entry point")??;
        Ok((text, name))
    }

    /// Metal's language, version 3.1.
    pub fn msl(&self) -> Result<String> {
        let mut resources = msl::EntryPointResources::default();
        let mut next = 0;
        let mut variables: Vec<_> = self.module.global_variables.iter().map(|(_, v)| v).collect();
        variables.sort_by_key(|v| v.binding.as_ref().map(|b| (b.group, b.binding)));
        for variable in variables {
            let Some(binding) = variable.binding else { continue };
            let mutable = matches!(variable.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
            let target = msl::BindTarget { buffer: Some(next), mutable, ..Default::default() };
            resources.resources.insert(binding, target);
            next += 1;
        }
        resources.sizes_buffer = Some(next);
        let options = msl::Options {
            lang_version: (3, 1),
            per_entry_point_map: [(ENTRY.to_owned(), resources)].into(),
            fake_missing_bindings: false,
            bounds_check_policies: UNCHECKED,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..Default::default()
        };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, ENTRY.to_owned())),
            ..Default::default()
        };
        let (text, info) = msl::write_string(&self.module, &self.info, &options, &pipeline)?;
        for name in info.entry_point_names {
            name.map_err(|e| anyhow!("{e}"))?;
        }
        Ok(text)
    }
}
