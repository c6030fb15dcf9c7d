//! The `bngpu` program: arguments in, exit code out.

use std::io::Write;

use bngpu::cli::{self, Exit};

fn main() -> Exit {
    std::panic::set_hook(Box::new(|panic| tell(&format!("internal error: {panic}; please report it"))));
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

/// Writes a line to stderr; nobody reading is no error.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
