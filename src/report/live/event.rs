//! What a sweep tells while it runs, as it stands in [`crate::sweep`].

pub use crate::sweep::{LaneInfo, Request, SweepEvent};
