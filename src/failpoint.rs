//! Named places at which a test makes the process die or wait.
//!
//! `NIGHTSHELF_FAIL_POINT=publish.renamed=kill` ends the process at that place as `kill -9` would;
//! `import.batch@3=kill` does so when it comes there for the third time. `…=wait:FILE` makes FILE and goes on
//! once it is gone. So a test reaches the moment that it is about, every time and on any machine. Without the
//! variable a place costs one comparison.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The variable that arms one place.
pub const VARIABLE: &str = "NIGHTSHELF_FAIL_POINT";

/// What happens at the place.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Wait(PathBuf),
}

/// The place that is armed.
#[derive(Debug)]
struct Armed {
    name: String,
    /// At which of its visits, from 1.
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

/// Says that the process has come to the place of this name.
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
            // SAFETY: nothing is left to go wrong.
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
