//! The GPU engine: the only place that knows wgpu.

pub mod shaders;
pub mod work;
