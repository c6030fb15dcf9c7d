//! SPIR-V through a Vulkan driver's compiler: processor seconds, and what `VK_KHR_pipeline_executable_properties` tells.
//!
//! Mesa's RADV compiles for any AMD GPU without one: `RADV_FORCE_FAMILY=navi21`.

use std::ffi::CStr;

use anyhow::{Context, Result};
use ash::vk;
use serde_json::{Map, Value, json};

use crate::translate::Bound;

/// Seconds of the processor that this process has had: other programs do not count.
fn processor_seconds() -> Result<f64> {
    // The second word after the name, which ends in a parenthesis, is the state; user and system time are the 12th and 13th.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).context("/proc/self/stat");
    // Linux counts them in hundredths.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// A driver's first device.
pub struct Driver {
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    properties: ash::khr::pipeline_executable_properties::Device,
    pub name: String,
    /// Invocations of its subgroups, where they have one size.
    pub subgroup: Option<u32>,
}

impl Driver {
    /// Opens the first device that the loader finds.
    pub fn open() -> Result<Driver> {
        // SAFETY: handles are made and used here in the order that Vulkan asks for, and destroyed with `Driver`.
        unsafe {
            let entry = ash::Entry::load().context("no Vulkan loader")?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance = entry
                .create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            let physical = *instance.enumerate_physical_devices()?.first().context("no Vulkan device")?;
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
            let mut about =
                vk::PhysicalDeviceProperties2::default().push_next(&mut driver).push_next(&mut sizes);
            instance.get_physical_device_properties2(physical, &mut about);
            let device_name = about.properties.device_name_as_c_str()?.to_string_lossy().into_owned();
            let name = format!("{device_name}, {}", driver.driver_info_as_c_str()?.to_string_lossy());
            let subgroup =
                (sizes.min_subgroup_size == sizes.max_subgroup_size).then_some(sizes.min_subgroup_size);
            let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default().maintenance4(true);
            let mut vulkan12 =
                vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true).shader_float16(true);
            let priority = [1.0];
            let queues =
                [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&priority)];
            let extensions = [vk::KHR_PIPELINE_EXECUTABLE_PROPERTIES_NAME.as_ptr()];
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut executables)
                .push_next(&mut vulkan13)
                .push_next(&mut vulkan12);
            let device = instance.create_device(physical, &info, None).context("no device")?;
            let properties = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Ok(Driver { _entry: entry, instance, device, properties, name, subgroup })
        }
    }

    /// Compiles one kernel and gives its statistics, with `seconds` among them.
    pub fn compile(&self, spirv: &[u32], bound: &[Bound]) -> Result<Map<String, Value>> {
        let device = &self.device;
        // SAFETY: as `open`; nothing outlives this call.
        unsafe {
            let groups = bound.iter().map(|b| b.group + 1).max().unwrap_or(0);
            let mut sets = Vec::new();
            for group in 0..groups {
                let bindings: Vec<_> = bound
                    .iter()
                    .filter(|b| b.group == group)
                    .map(|b| {
                        let kind = match b.uniform {
                            true => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
                            false => vk::DescriptorType::STORAGE_BUFFER,
                        };
                        vk::DescriptorSetLayoutBinding::default()
                            .binding(b.binding)
                            .descriptor_type(kind)
                            .descriptor_count(1)
                            .stage_flags(vk::ShaderStageFlags::COMPUTE)
                    })
                    .collect();
                let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
                sets.push(device.create_descriptor_set_layout(&info, None)?);
            }
            let layout = device
                .create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let module =
                device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let start = processor_seconds()?;
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let seconds = processor_seconds()? - start;
            let pipeline = made.map_err(|(_, error)| error)?[0];
            let mut found = Map::new();
            found.insert("seconds".into(), json!(seconds));
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            for statistic in self.properties.get_pipeline_executable_statistics(&info)? {
                let name = CStr::from_ptr(statistic.name.as_ptr()).to_string_lossy().into_owned();
                let value = match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => json!(statistic.value.f64),
                    _ => json!(statistic.value.u64),
                };
                found.insert(name, value);
            }
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            sets.into_iter().for_each(|set| device.destroy_descriptor_set_layout(set, None));
            Ok(found)
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: nothing made from them is left.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
