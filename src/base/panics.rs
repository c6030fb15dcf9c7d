//! Turns panics of other crates into values.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; a panic becomes `Err` with its message and prints nothing.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("no reason given", |&text| text).to_owned(),
    })
}

/// Whether a panic on this thread would be caught now.
pub(crate) fn quiet() -> bool {
    QUIET.get()
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| -> u8 { panic!("what {}", "happened") }), Err("what happened".into()));
        assert_eq!(caught(|| -> u8 { panic!("short") }), Err("short".into()));
        let within = caught(|| caught(|| -> u8 { panic!("inner") }));
        assert_eq!(within, Ok(Err("inner".into())));
    }
}
