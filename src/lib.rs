//! bngpu trains batch-normalised neural networks, many at once, on any GPU or natively on the CPU.

pub mod data;
pub mod spec;
