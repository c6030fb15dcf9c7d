//! Log lines while a view has the screen, which they would overwrite.

use super::watch::say_on_screen;

/// Passes records on to a logger. While a view has the screen, the view shows them instead, and prints them again when
/// it ends.
pub struct LogOnScreen(pub env_logger::Logger);

impl log::Log for LogOnScreen {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record) {
        let said = self.0.matches(record)
            && say_on_screen(&format!("{}: {}", record.level().as_str().to_lowercase(), record.args()));
        if !said {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
