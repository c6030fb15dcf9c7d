//! The `bngpu` program: arguments in, exit code out.

use std::io::Write;

use bngpu::base::text::in_line;
use bngpu::cli::{self, Exit};
use bngpu::engine::gpu::adapters::without_device_select;

fn main() -> Exit {
    // SAFETY: the first statement of the program; no other thread exists yet.
    unsafe { without_device_select() };
    std::panic::set_hook(Box::new(|panic| {
        tell(&format!("internal error: {}; please report it", panic.to_string().replace('\n', " ")))
    }));
    let cli = cli::parse();
    match std::panic::catch_unwind(|| cli::commands::run(cli)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            tell(&format!("error: {failure}"));
            failure.exit()
        }
        Err(_) => Exit::Error,
    }
}

/// Writes a line to stderr, ignoring errors such as a closed pipe.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("{}\n", in_line(text)).as_bytes());
}
