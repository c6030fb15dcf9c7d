//! Shared by the tests: comparison with a stated tolerance, fixtures, random populations, and suites that run on any
//! engine.

pub mod close;
pub mod files;
pub mod fixtures;
pub mod gpu;
pub mod invariance;
pub mod probe;
pub mod pytorch;
pub mod random_population;
pub mod refill;
pub mod study;
pub mod sweep;
pub mod tolerances;
pub mod training;
pub mod watch;
