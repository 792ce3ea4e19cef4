//! Fail points: named places at which a test makes the process die or wait.
//!
//! `NIGHTSHELF_FAIL_POINT=exchange.renamed=kill` ends the process at that place as `kill -9` would;
//! `import.batch@3=kill` does so at the third visit. `…=wait:FILE` makes FILE and goes on once it is gone. So
//! a test reaches the moment that it is about, every time and on any machine. Without the variable a fail
//! point costs one comparison.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The environment variable that arms one fail point.
pub const VARIABLE: &str = "NIGHTSHELF_FAIL_POINT";

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Wait(PathBuf),
}

#[derive(Debug)]
struct Armed {
    name: String,
    /// The visit at which it acts, from 1.
    visit: usize,
    visits: AtomicUsize,
    action: Action,
}

impl Armed {
    /// From `NAME=ACTION` or `NAME@VISIT=ACTION`; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let (place, action) = text.split_once('=')?;
        let action = match action.split_once(':') {
            None if action == "kill" => Action::Kill,
            Some(("wait", file)) => Action::Wait(file.into()),
            _ => return None,
        };
        let (name, visit) = match place.split_once('@') {
            Some((name, visit)) => (name, visit.parse().ok()?),
            None => (place, 1),
        };
        Some(Self { name: name.to_owned(), visit, visits: AtomicUsize::new(0), action })
    }
}

/// Marks a fail point, and acts if it is the armed one.
pub fn reach(name: &str) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(Armed::parse));
    let Some(armed) = armed.as_ref().filter(|armed| armed.name == name) else {
        return;
    };
    if armed.visits.fetch_add(1, Ordering::SeqCst) + 1 != armed.visit {
        return;
    }
    match &armed.action {
        Action::Kill => loop {
            // SAFETY: `raise` takes no pointer, and this signal ends the process.
            unsafe { libc::raise(libc::SIGKILL) };
        },
        Action::Wait(file) => {
            let made = std::fs::write(file, name).is_ok();
            while made && file.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_with_a_visit_and_an_action() {
        let read = |text| Armed::parse(text).map(|armed| (armed.name, armed.visit, armed.action));
        assert_eq!(read("import.batch@3=kill"), Some(("import.batch".into(), 3, Action::Kill)));
        assert_eq!(read("a=wait:/tmp/b=c"), Some(("a".into(), 1, Action::Wait("/tmp/b=c".into()))));
        for nonsense in ["", "a", "a=", "a=die", "a@x=kill"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
