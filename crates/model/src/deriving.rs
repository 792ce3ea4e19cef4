//! Threads on which burn may derive.

/// Calls each job on a thread of its own, as many at once as rayon has threads, and returns what they return, in
/// order. Whatever derives goes through here.
///
/// While burn derives it holds locks that all graphs share, and its kernels wait for a thread of rayon's pool. If a
/// thread of that pool derived too, it could come to wait for such a lock: each would wait for the other, for ever.
pub fn on_threads_of_their_own<T: Send>(jobs: Vec<impl FnOnce() -> T + Send>) -> Vec<T> {
    let at_once = rayon::current_num_threads();
    let (mut waiting, mut results) = (jobs.into_iter(), Vec::new());
    loop {
        let some: Vec<_> = waiting.by_ref().take(at_once).collect();
        if some.is_empty() {
            return results;
        }
        std::thread::scope(|scope| {
            let running: Vec<_> = some.into_iter().map(|job| scope.spawn(job)).collect();
            let finished = running.into_iter().map(|thread| thread.join());
            results.extend(
                finished.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
            );
        });
    }
}
