//! What a shelf or a status says: that a book was read, that it is only wished for, or that it was put away.

/// What became of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Read, being read, bought, borrowed.
    Read,
    /// On a wish list, not yet begun, or sent back.
    Unread,
    /// Begun and given up.
    GivenUp,
}

/// Words in lower case, letters only.
const STATES: [(State, &[&str]); 3] = [
    (
        State::Read,
        &[
            "read",
            "finished",
            "completed",
            "complete",
            "done",
            "currentlyreading",
            "reading",
            "inprogress",
            "owned",
            "paid",
            "shipped",
            "delivered",
            "fulfilled",
            "closed",
            "returnedontime",
            "issued",
            "onloan",
            "borrowed",
            "gelesen",
            "ausgeliehen",
            "lu",
            "termine",
            "leido",
            "gelezen",
            "yourlibrary",
            "readbutunowned",
            "true",
        ],
    ),
    (
        State::Unread,
        &[
            "toread",
            "wanttoread",
            "tbr",
            "wishlist",
            "wish",
            "wanted",
            "unread",
            "notstarted",
            "planned",
            "plantoread",
            "later",
            "queued",
            "cancelled",
            "canceled",
            "refunded",
            "returned",
            "rejected",
            "failed",
            "pending",
            "draft",
            "abandonedcart",
            "zulesen",
            "merkliste",
            "wunschliste",
            "alire",
            "porleer",
            "telezen",
            "false",
            "reserved",
            "onhold",
            "new",
        ],
    ),
    (
        State::GivenUp,
        &[
            "didnotfinish",
            "dnf",
            "abandoned",
            "dropped",
            "gaveup",
            "givenup",
            "unfinished",
            "abgebrochen",
            "abandonne",
        ],
    ),
];

/// What a value says; `None` if it is another word. `column` is its name: a 0 in `is_read` says that a book was not.
pub fn state(value: &str, column: &str) -> Option<State> {
    let word: String = value.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    if word.is_empty() {
        let column = super::fields::folded(column);
        let is_question = column.starts_with("is")
            || matches!(column.as_str(), "finished" | "completed" | "read" | "readstatus");
        return match value.trim() {
            "0" if is_question => Some(State::Unread),
            "1" if is_question => Some(State::Read),
            _ => None,
        };
    }
    STATES.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(state, _)| *state)
}

/// As [`state`], of several between commas, as LibraryThing's collections: what is in a library was read or will be, what is
/// only wished for is not.
pub fn state_of_all(values: &str, column: &str) -> Option<State> {
    let found: Vec<State> = values.split(',').filter_map(|value| state(value, column)).collect();
    [State::GivenUp, State::Unread, State::Read].into_iter().find(|state| found.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_no_readings() {
        for wish in ["to-read", "Want to Read", "want_to_read", "WISHLIST", "cancelled", "refunded"] {
            assert_eq!(state(wish, "status"), Some(State::Unread), "{wish}");
        }
        for read in ["read", "Finished", "COMPLETED", "currently-reading", "complete"] {
            assert_eq!(state(read, "status"), Some(State::Read), "{read}");
        }
        assert_eq!(state("did-not-finish", "Read Status"), Some(State::GivenUp));
        assert_eq!((state("0", "is_read"), state("0", "status")), (Some(State::Unread), None));
        assert_eq!(state("purple", "status"), None);
        assert_eq!(state_of_all("Your library, Wishlist", "Collections"), Some(State::Unread));
    }
}
