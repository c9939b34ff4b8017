//! Many small pieces of work on all cores, none of which may end the others.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use crate::Outcome;

thread_local! {
    /// What the panic that is being caught on this thread said; `None` where none is to be caught.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics inside [`guard`] are kept, others are shown as usual.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let caught = CAUGHT.with_borrow_mut(|c| c.as_mut().map(|c| *c = describe(info)).is_some());
            if !caught {
                usual(info);
            }
        }));
    });
}

fn describe(info: &std::panic::PanicHookInfo) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
    format!("{}{place}", text.lines().next().unwrap_or_default())
}

/// A panic inside becomes an answer.
pub(crate) fn guard(work: impl FnOnce() -> Outcome) -> Outcome {
    listen();
    CAUGHT.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(work));
    let said = CAUGHT.take().unwrap_or_default();
    result.unwrap_or(Outcome::Panics { reason: said })
}

/// What `one` makes of every item, in their order; computed on all cores.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some((i, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, items.get(i)?)))
                {
                    let result = one(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, r)| r).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_panics_are_caught() {
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(in_parallel(&items, |i| i * 2), items.iter().map(|i| i * 2).collect::<Vec<_>>());
        let caught = guard(|| panic!("no {}", "way"));
        assert!(
            matches!(&caught, Outcome::Panics { reason } if reason.starts_with("no way at ")),
            "{caught:?}"
        );
        assert_eq!(guard(|| Outcome::Agrees), Outcome::Agrees);
    }
}
