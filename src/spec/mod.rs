//! What is asked for: network, training, data; every default and all validation stand here.

mod network;
mod training;

pub use network::{Activation, BatchNorm, Init, Network};
pub use training::{Length, Optimizer, Schedule, Training};
