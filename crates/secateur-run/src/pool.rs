//! Numbered jobs on a few threads, with results in order.

use secateur_diag::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Runs `work(0..jobs)` on `threads` threads and returns the results in order. `done` is called on this
/// thread with the number of each job as it ends.
///
/// # Errors
/// The error of the lowest-numbered job that failed, whatever the number of threads: jobs start in
/// order, so every lower one has been run. No job starts after a failure.
pub fn in_order<T: Send>(
    jobs: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<T>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut results: Vec<Option<Result<T>>> = (0..jobs).map(|_| None).collect();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads.clamp(1, jobs.max(1)) {
            let (send, next, failed, work) = (send.clone(), &next, &failed, &work);
            scope.spawn(move || {
                while !failed.load(Ordering::Acquire) {
                    let job = next.fetch_add(1, Ordering::AcqRel);
                    if job >= jobs {
                        break;
                    }
                    let result = work(job);
                    failed.fetch_or(result.is_err(), Ordering::AcqRel);
                    if send.send((job, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (job, result) in receive {
            if result.is_ok() {
                done(job);
            }
            results[job] = Some(result);
        }
    });
    results.into_iter().flatten().collect()
}

/// Numbered jobs on a few threads, with results handed to `merge` in order, a few at a time.
///
/// At most `threads` results are alive at once.
///
/// # Errors
/// The error of the lowest-numbered job that failed.
pub fn fold_in_order<T: Send>(
    jobs: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    merge: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, jobs.max(1));
    for first in (0..jobs).step_by(threads) {
        let n = threads.min(jobs - first);
        for (i, t) in in_order(n, threads, |i| work(first + i), &mut |_| {})?.into_iter().enumerate() {
            merge(first + i, t)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur_diag::{Code, Diagnostic};

    #[test]
    fn results_are_in_order_at_any_thread_count() {
        for threads in [0, 1, 3, 100] {
            let mut seen = 0;
            let squares = in_order(20, threads, |i| Ok(i * i), &mut |_| seen += 1).unwrap();
            assert_eq!(squares, (0..20).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(seen, 20);
        }
        assert!(in_order(0, 2, |_| Ok(()), &mut |_| ()).unwrap().is_empty());
    }

    #[test]
    fn the_first_failure_wins() {
        let work = |i: usize| if i >= 5 { Err(Diagnostic::new(Code::X002, i.to_string())) } else { Ok(()) };
        for threads in [1, 2, 4] {
            assert_eq!(in_order(100, threads, work, &mut |_| ()).unwrap_err().title, "5");
        }
    }

    #[test]
    fn folding_keeps_the_order() {
        for threads in [1, 2, 5] {
            let mut seen = Vec::new();
            fold_in_order(11, threads, Ok, &mut |i, v| {
                assert_eq!(i, v);
                seen.push(v);
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..11).collect::<Vec<_>>());
        }
    }
}
