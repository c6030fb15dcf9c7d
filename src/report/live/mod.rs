//! The display of a running sweep: a full-screen view in a terminal, plain lines elsewhere.

mod board;
mod chart;
mod curve;
mod event;
mod lines;
mod log;
mod member;
mod screen;
mod table;
mod terminal;
mod theme;
mod ui;
mod watch;
mod words;

#[cfg(test)]
mod tests;

pub use board::{Aim, Best, Board, Counts, Lane};
pub use curve::Curve;
pub use event::{LaneInfo, Request, SweepEvent};
pub use log::LogOnScreen;
pub use member::{Key, Member, Reached, Standing};
pub use terminal::give_back;
pub use watch::{Handle, Live, LiveOptions, say_on_screen};
