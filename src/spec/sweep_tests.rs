//! Spaces and sweeps as they are typed.
