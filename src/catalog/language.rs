//! Which language a book is probably in: the registration group of its ISBN tells.

use crate::model::data::UNKNOWN;

/// A number that the ISBN-13s of one language area share; [`UNKNOWN`] if there is none. (Groups as the International
/// ISBN Agency assigns them: one to five digits after 978 or 979, of which the first tell how many.)
pub fn of_isbn13(isbn13: &str) -> u32 {
    let (prefix, rest) = isbn13.split_at_checked(3).unwrap_or_default();
    let first = |digits: usize| rest.get(..digits).and_then(|group| group.parse::<u32>().ok());
    let Some(two) = first(2) else {
        return UNKNOWN;
    };
    let group = match (prefix, two) {
        // English has two groups, and a third after 979; French two.
        ("978", 0..=19) | ("979", 80..=89) => Some(1),
        ("978", 20..=29) | ("979", 10) => Some(2),
        ("978", 30..=59 | 70..=79) => first(1),
        ("978", 80..=94) | ("979", _) => Some(100 + two),
        ("978", 60..=64 | 95..=98) => first(3),
        ("978", _) => first(4),
        _ => None,
    };
    group.unwrap_or(UNKNOWN)
}

/// The language of a number, or the country if it has several.
pub fn name(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "English",
        2 => "French",
        3 => "German",
        4 => "Japanese",
        5 => "Russian",
        7 => "Chinese",
        180 => "Czech and Slovak",
        182 => "Norwegian",
        183 => "Polish",
        184 => "Spanish",
        185 => "Portuguese (Brazil)",
        187 => "Danish",
        188 => "Italian",
        189 => "Korean",
        190 | 194 => "Dutch",
        191 => "Swedish",
        193 => "India",
        972 => "Portuguese",
        UNKNOWN => return None,
        _ => "others",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_share_a_number() {
        let same = |a: &str, b: &str| of_isbn13(a) == of_isbn13(b);
        assert!(same("9780306406157", "9781861972712") && same("9782070368228", "9791032305690"));
        assert!(!same("9780306406157", "9783442541737") && !same("9788804668237", "9788420412146"));
        assert!(same("9786001234567", "9786009876543") && !same("9786001234567", "9786051234567"));
        assert_eq!((of_isbn13(""), of_isbn13("B00005"), of_isbn13("9780")), (UNKNOWN, UNKNOWN, UNKNOWN));
    }
}
