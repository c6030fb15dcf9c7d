//! Helpers that depend on no other module: text, files, order statistics, caught panics.

mod error;
mod geomspace;
pub mod panics;
mod quantile;
mod same_file;
mod shell;
pub mod text;
mod write;

pub use error::FileError;
pub(crate) use error::is_held;
pub use geomspace::geomspace;
pub use quantile::quantile;
pub use same_file::is_same_file;
pub use shell::shell_word;
pub use write::write_whole;
pub(crate) use write::{TEMPORARY_SUFFIX, patiently};
