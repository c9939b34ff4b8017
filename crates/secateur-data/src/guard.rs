//! Keeps panics of a library inside: they come back as text, and nothing is printed.
//!
//! Model and data files may be hostile, and a panic on them must end as an error. A hook installed at
//! first use silences the panics of threads that are inside [`contained`]; every other panic goes to the
//! hook that was there before.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}
static HOOK: Once = Once::new();

/// Runs `f`; a panic in it becomes `Err` with the panic's message.
///
/// Callers must drop whatever `f` was changing when it panicked.
pub fn contained<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                previous(info);
            }
        }));
    });
    let outer = INSIDE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    INSIDE.set(outer);
    result.map_err(|payload| format!("internal panic: {}", message(&*payload)))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_text() {
        assert_eq!(contained(|| 3), Ok(3));
        assert_eq!(contained(|| panic!("at {}", 4)), Err::<(), _>("internal panic: at 4".into()));
    }
}
