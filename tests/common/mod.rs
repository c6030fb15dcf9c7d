//! Shared by the tests: comparison with a stated tolerance, fixtures, random populations, and suites that run on any
//! engine.
#![allow(dead_code)]

pub mod close;
pub mod fixtures;
pub mod gpu;
pub mod invariance;
pub mod probe;
pub mod pytorch;
pub mod random_population;
pub mod refill;
pub mod tolerances;
pub mod training;
pub mod watch;
