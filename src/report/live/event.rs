//! The events of a running sweep, from [`crate::sweep`].

pub use crate::sweep::{LaneInfo, Request, SweepEvent};
