//! Turns any spelling of an ISBN into one key per book.
//!
//! Pure functions over text. The rules are those of the ISBN Users' Manual: an ISBN-10 carries a
//! check digit modulo 11 (`X` for ten), an ISBN-13 is the EAN-13 with prefix 978 or 979 and its
//! check digit modulo 10, and each ISBN-10 equals one ISBN-13 with prefix 978. A nine-digit SBN is
//! an ISBN-10 without its leading zero.
//!
//! A key is never repaired by guessing digits: only zeros that a spreadsheet or an INTEGER column
//! can have lost are put back, and only if the check digit then holds.

use unicode_normalization::UnicodeNormalization;

/// The fewest characters that still count as an ISBN-10 without its leading zeros. Shorter numbers are more
/// likely somebody's own numbering: one in eleven of those passes the check digit by chance.
const SHORTEST_REST: usize = 6;

/// What a spelling stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A valid ISBN.
    Isbn {
        /// 13 digits.
        isbn13: String,
        /// Whether lost zeros were put back.
        repaired: bool,
    },
    /// Any other text.
    Opaque {
        /// Folded: in upper case, without spaces, hyphens and other separators.
        text: String,
        reason: Reason,
    },
}

/// Why a spelling is no valid ISBN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The length of an ISBN, but a wrong check digit.
    BadCheckDigit,
    /// A number as a spreadsheet shortens it: `9,78292E+12`.
    ScientificNotation,
    /// Amazon's own number, `B000…`.
    Asin,
    /// Digits, but too few or too many.
    WrongLength,
    /// A valid EAN-13 with another prefix than 978 or 979.
    NotABook,
    /// Anything else.
    NotAnIsbn,
}

impl Reason {
    /// The word for this reason in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Reason::BadCheckDigit => "bad_check_digit",
            Reason::ScientificNotation => "scientific_notation",
            Reason::Asin => "asin",
            Reason::WrongLength => "wrong_length",
            Reason::NotABook => "not_a_book",
            Reason::NotAnIsbn => "not_an_isbn",
        }
    }
}

/// Reads any spelling of an ISBN. `None` if folding leaves nothing.
pub fn parse(spelling: &str) -> Option<Key> {
    let folded = fold(spelling);
    let mut text = folded.as_str();
    // Some labels come twice: `ISBN: ISBN-13 …`.
    while let Some(rest) = without_label(text) {
        text = rest;
    }
    if text.is_empty() {
        return None;
    }
    Some(match isbn13(text) {
        Ok((isbn13, repaired)) => Key::Isbn { isbn13, repaired },
        Err(reason) => Key::Opaque { text: text.to_owned(), reason },
    })
}

/// Compatibility forms as plain ones (NFKC), upper case, no separators.
fn fold(spelling: &str) -> String {
    // Almost every spelling is plain ASCII, where folding is a filter.
    if spelling.is_ascii() {
        return spelling.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_uppercase()).collect();
    }
    // Repeated until nothing changes: upper case splits some letters (ΰ becomes Υ and two marks), and a
    // mark may combine with another letter once the separator between them is gone.
    let mut folded = spelling.to_owned();
    for _ in 0..8 {
        let upper: String =
            folded.nfkc().filter(|c| !is_separator(*c)).flat_map(char::to_uppercase).collect();
        if upper == folded {
            break;
        }
        folded = upper;
    }
    folded
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '-' | '.' | '\'' | '"' | '`'
            | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}'           // hyphens, dashes, minus
            | '\u{2018}'..='\u{201f}' | '\u{00ab}' | '\u{00bb}' | '\u{2032}' | '\u{2033}' // quotes
            | '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' // invisible
            | '\u{00b7}' | '\u{2022}' | '\u{2027}'                          // dots
        )
}

/// What follows `ISBN`, `ISBN-13:` and similar labels in folded text; `None` if there is no such label.
fn without_label(folded: &str) -> Option<&str> {
    let rest = folded.strip_prefix("ISBN")?;
    let rest = rest.trim_start_matches([':', '=', '#']);
    for (label, length) in [("13", 13), ("10", 10)] {
        // `ISBN 1390000004` is an ISBN-10 that begins with 13: only the length can tell.
        if let Some(number) = rest.strip_prefix(label) {
            let number = number.trim_start_matches([':', '=', '#']);
            if number.len() == length || number.len() + label.len() < rest.len() {
                return Some(number);
            }
        }
    }
    Some(rest)
}

/// The ISBN-13 of a folded text, and whether lost zeros were put back.
fn isbn13(text: &str) -> Result<(String, bool), Reason> {
    let bytes = text.as_bytes();
    let Some((last, front)) = bytes.split_last() else {
        return Err(Reason::NotAnIsbn);
    };
    let digits_in_front = front.iter().all(u8::is_ascii_digit);
    let all_digits = digits_in_front && last.is_ascii_digit();
    let shaped_like_isbn10 = digits_in_front && (last.is_ascii_digit() || *last == b'X');
    match bytes.len() {
        13 if all_digits && check_digit_13(front) != *last => Err(Reason::BadCheckDigit),
        13 if all_digits && (text.starts_with("978") || text.starts_with("979")) => {
            Ok((text.to_owned(), false))
        }
        13 if all_digits => Err(Reason::NotABook),
        10 if shaped_like_isbn10 && check_digit_10(front) != *last => Err(Reason::BadCheckDigit),
        10 if shaped_like_isbn10 => Ok((from_isbn10(front), false)),
        SHORTEST_REST..10 if shaped_like_isbn10 => {
            let padded = format!("{text:0>10}");
            let front = &padded.as_bytes()[..9];
            if check_digit_10(front) == *last && front.iter().any(|digit| *digit != b'0') {
                Ok((from_isbn10(front), true))
            } else {
                Err(if bytes.len() == 9 { Reason::BadCheckDigit } else { Reason::WrongLength })
            }
        }
        _ if all_digits => Err(Reason::WrongLength),
        10 if *bytes.first().unwrap_or(&0) == b'B' && bytes.iter().all(u8::is_ascii_alphanumeric) => {
            Err(Reason::Asin)
        }
        _ if is_scientific(text) => Err(Reason::ScientificNotation),
        _ => Err(Reason::NotAnIsbn),
    }
}

/// The ISBN-13 whose ISBN-10 has these nine digits before its check digit.
fn from_isbn10(nine: &[u8]) -> String {
    let mut digits = *b"978000000000";
    digits[3..].copy_from_slice(nine);
    let check = check_digit_13(&digits);
    digits.iter().chain([&check]).map(|digit| char::from(*digit)).collect()
}

/// Check digit of the first twelve digits of an ISBN-13, as ASCII.
fn check_digit_13(twelve: &[u8]) -> u8 {
    let sum: u32 = twelve
        .iter()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

/// Check digit of the first nine digits of an ISBN-10, as ASCII: a digit or `X`.
fn check_digit_10(nine: &[u8]) -> u8 {
    let sum: u32 =
        nine.iter().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match (11 - sum % 11) % 11 {
        10 => b'X',
        digit => b'0' + digit as u8,
    }
}

/// Digits and decimal commas, `E`, an exponent. Decimal points are gone by now.
fn is_scientific(text: &str) -> bool {
    text.split_once('E').is_some_and(|(mantissa, exponent)| {
        let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
        !mantissa.is_empty()
            && mantissa.chars().all(|c| c.is_ascii_digit() || c == ',')
            && !exponent.is_empty()
            && exponent.chars().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn valid(spelling: &str) -> Option<(String, bool)> {
        match parse(spelling) {
            Some(Key::Isbn { isbn13, repaired }) => Some((isbn13, repaired)),
            _ => None,
        }
    }

    fn why_not(spelling: &str) -> Option<Reason> {
        match parse(spelling) {
            Some(Key::Opaque { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn spellings_of_one_book_meet() {
        // The example of the ISBN Users' Manual's arithmetic, in every dress.
        for spelling in [
            "9780306406157",
            "978-0-306-40615-7",
            "0306406152",
            "0-306-40615-2",
            "ISBN 0-306-40615-2",
            "isbn-13: 978-0-306-40615-7",
            "ISBN-10:0306406152",
            "ISBN10 0306406152",
            "ISBN13 9780306406157",
            " 0 306 40615 2 ",
            "０３０６４０６１５２",
            "978\u{2010}0\u{2013}306－40615\u{2212}7",
            "\"0306406152\"",
            "\u{feff}0306.40615.2",
        ] {
            assert_eq!(valid(spelling), Some(("9780306406157".into(), false)), "{spelling:?}");
        }
        for repaired in ["306406152", "306-40615-2"] {
            assert_eq!(valid(repaired), Some(("9780306406157".into(), true)), "{repaired:?}");
        }
        assert_eq!(valid("080442957x"), valid("9780804429573"));
        assert_eq!(valid("2005018"), Some(("9780002005012".into(), true)));
    }

    #[test]
    fn a_label_is_not_part_of_the_number() {
        let plain = valid("1390000000").or(valid("139000000X"));
        let nine = b"139000000";
        let isbn10 = format!("139000000{}", char::from(check_digit_10(nine)));
        assert!(valid(&isbn10).is_some());
        assert_eq!(valid(&format!("ISBN {isbn10}")), valid(&isbn10));
        assert_eq!(valid(&format!("ISBN-10 {isbn10}")), valid(&isbn10));
        drop(plain);
    }

    #[test]
    fn what_is_no_isbn_says_why() {
        for (spelling, reason) in [
            ("0306406153", Reason::BadCheckDigit),
            ("9780306406158", Reason::BadCheckDigit),
            ("4006381333931", Reason::NotABook),
            ("9,78292E+12", Reason::ScientificNotation),
            ("9.78292E+12", Reason::ScientificNotation),
            ("B000FC1PJI", Reason::Asin),
            ("97803064061571", Reason::WrongLength),
            ("42", Reason::WrongLength),
            ("000000", Reason::WrongLength),
            ("Dune", Reason::NotAnIsbn),
        ] {
            assert_eq!(why_not(spelling), Some(reason), "{spelling:?}");
        }
        assert_eq!(parse(" - "), None);
        assert_eq!(parse("ISBN:"), None);
    }

    prop_compose! {
        fn isbn10()(nine in "[0-9]{9}") -> String {
            format!("{nine}{}", char::from(check_digit_10(nine.as_bytes())))
        }
    }

    /// Anything that a column may hold, most of it close to what an ISBN looks like.
    fn anything() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[0-9]{1,13}",
            2 => "(978|979|977)[0-9]{10}",
            2 => "[0-9]{9}[0-9Xx]",
            1 => "(ISBN|isbn|ISBN-13:|ISBN10|Isbn 13 #|B0)",
            1 => "[-. '\"eE+,:x\u{2010}\u{2013}\u{a0}\u{200b}\u{feff}]{1,3}",
            1 => "[\u{ff10}-\u{ff19}]{1,13}",
            1 => "[\u{660}-\u{669}]{1,10}",
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_stands_there_becomes_one_key_that_stays(spelling in prop_oneof![anything(), any::<String>()]) {
            let key = parse(&spelling);
            let (text, is_isbn) = match &key {
                None => return Ok(()),
                Some(Key::Isbn { isbn13, .. }) => (isbn13, true),
                Some(Key::Opaque { text, .. }) => (text, false),
            };
            if is_isbn {
                prop_assert!(text.len() == 13 && (text.starts_with("978") || text.starts_with("979")), "{text}");
                prop_assert_eq!(text.as_bytes()[12], check_digit_13(&text.as_bytes()[..12]));
            }
            prop_assert!(!text.is_empty() && !text.contains(is_separator), "{text:?}");
            // A key read as a spelling is the same key.
            match parse(text) {
                Some(Key::Isbn { isbn13, repaired }) => prop_assert!(is_isbn && isbn13 == *text && !repaired),
                Some(Key::Opaque { text: again, .. }) => prop_assert_eq!((&again, false), (text, is_isbn)),
                None => prop_assert!(false, "{text:?} is nothing"),
            }
            // Nor do case, and blanks around it, make another one of it.
            let key = key.map(|key| format!("{key:?}"));
            prop_assert_eq!(parse(&format!(" {spelling}\t")).map(|key| format!("{key:?}")), key);
        }

        #[test]
        fn an_isbn10_and_its_isbn13_meet(isbn10 in isbn10()) {
            let twelve = format!("978{}", &isbn10[..9]);
            let isbn13 = format!("{twelve}{}", char::from(check_digit_13(twelve.as_bytes())));
            prop_assert_eq!(valid(&isbn10), Some((isbn13.clone(), false)));
            prop_assert_eq!(valid(&isbn13), Some((isbn13, false)));
        }

        #[test]
        fn hyphens_spaces_and_case_never_matter(
            isbn10 in isbn10(),
            gaps in prop::collection::vec("[- .\u{2010}\u{2014}\u{a0}]{0,2}", 10),
        ) {
            let spelled: String = isbn10.chars().zip(&gaps).map(|(c, gap)| format!("{c}{gap}")).collect();
            prop_assert_eq!(valid(&spelled.to_lowercase()), valid(&isbn10));
        }

        #[test]
        fn lost_zeros_come_back(rest in "[1-9][0-9]{5,7}") {
            let front = format!("{rest:0>9}");
            let check = char::from(check_digit_10(front.as_bytes()));
            prop_assert_eq!(
                valid(&format!("{rest}{check}")).map(|(isbn13, _)| isbn13),
                valid(&format!("{front}{check}")).map(|(isbn13, _)| isbn13)
            );
        }

        #[test]
        fn a_wrong_check_digit_never_becomes_a_key(isbn10 in isbn10(), wrong in "[0-9X]") {
            prop_assume!(!isbn10.ends_with(&wrong));
            prop_assert_eq!(why_not(&format!("{}{wrong}", &isbn10[..9])), Some(Reason::BadCheckDigit));
        }

        #[test]
        fn any_two_digits_swapped_or_one_changed_is_noticed(isbn10 in isbn10(), at in 0usize..9, to in 0u8..10) {
            let mut changed = isbn10.clone().into_bytes();
            changed[at] = b'0' + to;
            prop_assume!(changed != isbn10.as_bytes());
            prop_assert!(valid(&String::from_utf8(changed).expect("digits")).is_none());
        }

        #[test]
        fn nothing_panics_and_folding_is_idempotent(text in "\\PC*") {
            if let Some(Key::Opaque { text: folded, reason }) = parse(&text) {
                prop_assert!(!folded.is_empty());
                let _ = reason.word();
            }
        }

        #[test]
        fn bytes_of_any_kind_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
