//! Takes every kernel of bngpu through the compilers of other machines, and writes `docs/kernels.md`.
//!
//! `scripts/portability` calls this program's subcommands in turn, and installs what they need:
//!
//! ```text
//! portability dump DIR                    every kernel in every layout, in every language, and DIR/kernels.json
//! portability spirv-val DIR               SPIR-V through the validator
//! portability vulkan DIR NAME             SPIR-V through the compiler of the first Vulkan driver
//! portability metal DIR                   Metal's language through Clang's type checker
//! portability direct3d DIR NAME FILE      what dx.exe printed
//! portability predict                     microseconds of a step on GPUs that are not here
//! portability report DIR [--write]        the table; docs/kernels.md compared, or written
//! ```
//!
//! Each compiler leaves `DIR/results/NAME.json`: `{"compiler", "results": {kernel: {"seconds", "error"?, statistics}}}`.

mod compile;
mod dump;
mod predict;
mod report;
mod steps;
mod translate;
mod vulkan;

use std::path::Path;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["dump", dir] => dump::dump(Path::new(dir)),
        ["spirv-val", dir] => compile::spirv_val(Path::new(dir)),
        ["vulkan", dir, name] => compile::vulkan(Path::new(dir), name),
        ["metal", dir] => compile::metal(Path::new(dir)),
        ["direct3d", dir, name, printed] => compile::direct3d(Path::new(dir), name, Path::new(printed)),
        ["predict"] => {
            predict::predict();
            Ok(())
        }
        ["report", dir] => report::report(Path::new(dir), false),
        ["report", dir, "--write"] => report::report(Path::new(dir), true),
        _ => bail!("see the head of portability/src/main.rs for the subcommands"),
    }
}
