//! Libraries that panic where they should return an error: some do on damaged files or odd machines.
//!
//! What is expected is caught and says nothing; any other panic is shown as always. The hook is set once, by `main`,
//! since it belongs to the whole process.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many pieces of work are going on that may panic. Libraries panic on threads of their own, so it is the
/// process that counts, not the thread.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);

/// Makes panics that are expected silent, from now on.
pub fn install() {
    let show = panic::take_hook();
    panic::set_hook(Box::new(move |about| {
        if EXPECTED.load(Ordering::SeqCst) == 0 {
            show(about);
        }
    }));
}

/// Does work that may panic, and returns what it panicked with.
///
/// # Errors
/// If it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    EXPECTED.fetch_add(1, Ordering::SeqCst);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.fetch_sub(1, Ordering::SeqCst);
    done
}
