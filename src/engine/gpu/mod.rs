//! The GPU engine.

pub mod adapters;
