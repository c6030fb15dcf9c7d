//! One HTML page of a sweep or of a training: self-contained, without network or server.
//!
//! Rust gathers and shortens the numbers and writes the parts that need no script; the scripts beside this file draw
//! the charts with Apache ECharts (see ATTRIBUTION.md). Every text from outside is escaped.

mod axes;
mod command;
mod findings;
mod html;
mod numbers;
mod sweep;
mod training;
mod trials;

pub use findings::{Finalist, Findings, Importance, Interval};
pub use html::escape;
pub use sweep::SweepPage;
pub use training::TrainingPage;
