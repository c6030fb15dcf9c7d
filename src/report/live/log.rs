//! Log lines while a view has the screen, which they would overwrite.

use super::watch::say_on_screen;
use crate::base::text::printable;

/// Passes records on to a logger. While a view has the screen, the view shows them instead, and prints them again when
/// it ends.
pub struct LogOnScreen(pub env_logger::Logger);

impl log::Log for LogOnScreen {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record) {
        if !self.0.matches(record) {
            return;
        }
        // Paths and names in it come from others.
        let text = record.args().to_string();
        let text = printable(&text);
        if !say_on_screen(&format!("{}: {text}", record.level().as_str().to_lowercase())) {
            let mut escaped = log::Record::builder();
            escaped.metadata(record.metadata().clone()).module_path(record.module_path());
            self.0.log(&escaped.file(record.file()).line(record.line()).args(format_args!("{text}")).build());
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
