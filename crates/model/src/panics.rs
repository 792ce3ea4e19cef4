//! Catches the panics of libraries that should return an error instead: some panic on damaged files or odd
//! machines.
//!
//! A caught panic prints nothing; any other panic is shown as always. `main` sets the hook once, since it
//! belongs to the whole process.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many calls of [`caught`] are running. Libraries panic on threads of their own, so this counts for the
/// whole process, not for one thread.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);

/// Silences all panics while [`caught`] runs, from now on.
pub fn install() {
    let show = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        if EXPECTED.load(Ordering::SeqCst) == 0 {
            show(about);
        }
    }));
}

/// Runs work that may panic; the error is what it panicked with.
pub fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    EXPECTED.fetch_add(1, Ordering::SeqCst);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.fetch_sub(1, Ordering::SeqCst);
    done
}
