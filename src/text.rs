//! Formats numbers and texts for people.

use indicatif::HumanCount;

/// A count with thousands separators: 79,785.
pub fn count(number: impl TryInto<u64>) -> String {
    number.try_into().map_or_else(|_| "?".to_owned(), |number| HumanCount(number).to_string())
}

/// Makes text from a database safe to show: control characters, and so escape sequences, and marks that
/// change the direction of the rest of the line become U+FFFD.
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_in_threes() {
        assert_eq!([count(0u64), count(999u64), count(79_785usize)], ["0", "999", "79,785"]);
        assert_eq!((count(1_000_000usize), count(-1)), ("1,000,000".into(), "?".into()));
    }

    #[test]
    fn escape_sequences_in_titles_do_nothing() {
        assert!(!plain("a\u{1b}[31mb\n").contains(['\u{1b}', '\n']));
    }
}
