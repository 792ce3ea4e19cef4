//! Turns any spelling of an ISBN into one key per book.
//!
//! Pure functions over text. The rules are those of the ISBN Users' Manual: an ISBN-10 carries a
//! check digit modulo 11 (`X` for ten), an ISBN-13 is the EAN-13 with prefix 978 or 979 and its
//! check digit modulo 10, and each ISBN-10 equals one ISBN-13 with prefix 978. A nine-digit SBN is
//! an ISBN-10 without its leading zero.
//!
//! A key is never repaired by guessing digits: only zeros that a spreadsheet or an INTEGER column
//! can have lost are put back, and only if the check digit then holds; and the check digit itself, if all others are
//! there. What else stands around an ISBN in a cell (`clothes`) is taken off.

use unicode_normalization::UnicodeNormalization;

use crate::catalog::clothes::{self, Number};

/// The fewest characters that still count as an ISBN-10 without its leading zeros. Shorter numbers are more
/// likely somebody's own numbering: one in eleven of those passes the check digit by chance.
const SHORTEST_REST: usize = 6;

/// What people and programs write where there is no ISBN, folded.
const PLACEHOLDERS: [&str; 15] = [
    "N/A",
    "NA",
    "NULL",
    "NONE",
    "NIL",
    "NAN",
    "UNKNOWN",
    "UNDEFINED",
    "MISSING",
    "NOISBN",
    "KEINE",
    "SANS",
    "SIN",
    "NOTAVAILABLE",
    "?",
];

/// What a spelling stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A valid ISBN.
    Isbn {
        /// 13 digits.
        isbn13: String,
        mended: Option<Mending>,
        /// The spelling, folded, if it is a number that may be somebody's own: one in eleven of those passes the
        /// check digit. Only the column in which it stands can tell.
        bare: Option<String>,
    },
    /// Any other text.
    Opaque {
        /// Folded: in upper case, without spaces, hyphens and other separators.
        text: String,
        reason: Reason,
    },
}

/// What was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mending {
    /// Leading zeros.
    Zeros,
    /// The check digit, which a spreadsheet has cut off.
    CheckDigit,
}

/// Why a spelling is no valid ISBN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The length of an ISBN, but a wrong check digit.
    BadCheckDigit,
    /// A number as a spreadsheet shortens it, with too few digits left: `9,78292E+12`. It stands for many books.
    ScientificNotation,
    /// What stands for no ISBN: `N/A`, `0`, `1111111111`.
    Placeholder,
    /// Amazon's own number, `B000…`.
    Asin,
    /// Digits, but too few or too many.
    WrongLength,
    /// A number that passes the check digit among others of which most do not.
    OwnNumber,
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
            Reason::Placeholder => "placeholder",
            Reason::Asin => "asin",
            Reason::WrongLength => "wrong_length",
            Reason::OwnNumber => "own_number",
            Reason::NotABook => "not_a_book",
            Reason::NotAnIsbn => "not_an_isbn",
        }
    }

    /// Whether a spelling like this names no book, so that its rows are not one book's.
    pub fn names_no_book(self) -> bool {
        matches!(self, Reason::ScientificNotation | Reason::Placeholder)
    }
}

/// Reads any spelling of an ISBN. `None` if folding leaves nothing.
pub fn parse(spelling: &str) -> Option<Key> {
    let plain = plain(spelling);
    let core = plain.trim_matches(|c: char| c == '=' || is_separator(c) && c != '.');
    let mut folded = fold(spelling);
    match clothes::number(core) {
        Some(Number::Whole(digits)) => folded = digits,
        Some(Number::AllButOne(twelve)) if is_prefix(&twelve) => {
            let isbn13 = format!("{twelve}{}", char::from(check_digit_13(twelve.as_bytes())));
            return Some(Key::Isbn { isbn13, mended: Some(Mending::CheckDigit), bare: None });
        }
        Some(Number::AllButOne(text) | Number::Cut(text)) => {
            return Some(Key::Opaque { text, reason: Reason::ScientificNotation });
        }
        Some(Number::Broken(text)) => return Some(Key::Opaque { text, reason: Reason::NotAnIsbn }),
        None => {}
    }
    let mut text = folded.as_str();
    // Some labels come twice: `ISBN: ISBN-13 …`.
    while let Some(rest) = without_label(text) {
        text = rest;
    }
    if text.is_empty() {
        return None;
    }
    if is_placeholder(text) {
        return Some(Key::Opaque { text: text.to_owned(), reason: Reason::Placeholder });
    }
    Some(match isbn13(text) {
        Ok((isbn13, mended)) => {
            let is_bare = text.len() <= 10
                && text.len() == folded.len()
                && core.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            Key::Isbn { isbn13, mended, bare: is_bare.then(|| text.to_owned()) }
        }
        Err(reason) => undressed(&plain, text).unwrap_or(Key::Opaque { text: text.to_owned(), reason }),
    })
}

/// The first valid ISBN among the pieces of a spelling.
fn undressed(plain: &str, folded: &str) -> Option<Key> {
    clothes::pieces(plain).filter(|piece| clothes::is_grouped(piece)).find_map(|piece| {
        let piece: String = piece.chars().filter(|c| !is_separator(*c)).collect();
        let of_length =
            |length: usize| isbn13(piece.get(..length)?).ok().filter(|(_, mended)| mended.is_none());
        match piece.len() {
            10 => of_length(10).map(|(isbn13, _)| Key::Isbn {
                isbn13,
                mended: None,
                bare: Some(folded.to_owned()),
            }),
            // An EAN, perhaps with an add-on of two or five digits.
            13 | 15 | 18 if piece.bytes().all(|byte| byte.is_ascii_digit()) => {
                of_length(13).map(|(isbn13, _)| Key::Isbn { isbn13, mended: None, bare: None })
            }
            _ => None,
        }
    })
}

fn is_placeholder(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next();
    let is_same = bytes.all(|byte| Some(byte) == first) && first.is_some_and(|byte| byte.is_ascii_digit());
    PLACEHOLDERS.contains(&text) || is_same && (first == Some(b'0') || matches!(text.len(), 10 | 13))
}

fn is_prefix(digits: &str) -> bool {
    digits.starts_with("978") || digits.starts_with("979")
}

/// Compatibility forms as plain ones (NFKC), upper case; separators stay.
fn plain(spelling: &str) -> String {
    // Almost every spelling is plain ASCII.
    match spelling.is_ascii() {
        true => spelling.trim().to_ascii_uppercase(),
        false => spelling.nfkc().flat_map(char::to_uppercase).collect::<String>().trim().to_owned(),
    }
}

/// Compatibility forms as plain ones (NFKC), upper case, no separators.
fn fold(spelling: &str) -> String {
    // There, folding is a filter.
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

/// The ISBN-13 of a folded text, and what was put back.
fn isbn13(text: &str) -> Result<(String, Option<Mending>), Reason> {
    let bytes = text.as_bytes();
    let Some((last, front)) = bytes.split_last() else {
        return Err(Reason::NotAnIsbn);
    };
    let digits_in_front = front.iter().all(u8::is_ascii_digit);
    let all_digits = digits_in_front && last.is_ascii_digit();
    let shaped_like_isbn10 = digits_in_front && (last.is_ascii_digit() || *last == b'X');
    match bytes.len() {
        13 if all_digits && check_digit_13(front) != *last => Err(Reason::BadCheckDigit),
        13 if all_digits && is_prefix(text) => Ok((text.to_owned(), None)),
        13 if all_digits => Err(Reason::NotABook),
        10 if shaped_like_isbn10 && check_digit_10(front) != *last => Err(Reason::BadCheckDigit),
        10 if shaped_like_isbn10 => Ok((from_isbn10(front), None)),
        SHORTEST_REST..10 if shaped_like_isbn10 => {
            let padded = format!("{text:0>10}");
            let front = &padded.as_bytes()[..9];
            if check_digit_10(front) == *last && front.iter().any(|digit| *digit != b'0') {
                Ok((from_isbn10(front), Some(Mending::Zeros)))
            } else {
                Err(if bytes.len() == 9 { Reason::BadCheckDigit } else { Reason::WrongLength })
            }
        }
        _ if all_digits => Err(Reason::WrongLength),
        10 if *bytes.first().unwrap_or(&0) == b'B' && bytes.iter().all(u8::is_ascii_alphanumeric) => {
            Err(Reason::Asin)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn valid(spelling: &str) -> Option<(String, Option<Mending>)> {
        match parse(spelling) {
            Some(Key::Isbn { isbn13, mended, .. }) => Some((isbn13, mended)),
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
            "=\"9780306406157\"",
            "=\"0306406152\"",
            "[0306406152]",
            "0306406152 (pbk.)",
            "0306406152 pbk",
            "9780306406157 :",
            "9780306406157 (hbk.) : £8.99",
            "0306406152 | 9780306406157",
            "9780306406157, 0306406152",
            "0306406153; 0-306-40615-2",
            "urn:isbn:9780306406157",
            "ISBN(13): 9780306406157",
            "9780306406157.0",
            "0306406152.00",
            "9.780306406157E+12",
            "9780306406157 51299",
            "978030640615751299",
            "978030640615712",
            "<9780306406157>",
            "0 306 40615 2 (pbk.)",
        ] {
            assert_eq!(valid(spelling), Some(("9780306406157".into(), None)), "{spelling:?}");
        }
        for repaired in ["306406152", "306-40615-2", "306406152.0", "3.06406152E+08"] {
            assert_eq!(valid(repaired), Some(("9780306406157".into(), Some(Mending::Zeros))), "{repaired:?}");
        }
        for cut in ["9.78030640615E+12", "9,78030640615e+12", "978030640615E1"] {
            let expected =
                cut.contains(['.', ',']).then(|| ("9780306406157".into(), Some(Mending::CheckDigit)));
            assert_eq!(valid(cut), expected, "{cut:?}");
        }
        assert_eq!(valid("080442957x"), valid("9780804429573"));
        assert_eq!(valid("2005018"), Some(("9780002005012".into(), Some(Mending::Zeros))));
    }

    #[test]
    fn a_point_is_never_just_dropped() {
        // Without the point this would be 3038803170, an ISBN-10.
        assert!(valid("3038803170").is_some());
        assert_ne!(valid("303880317.0"), valid("3038803170"));
        assert!(matches!(parse("1.5"), Some(Key::Opaque { text, .. }) if text == "1.5"));
    }

    #[test]
    fn only_a_short_number_may_be_somebodys_own() {
        let own = |spelling: &str| match parse(spelling) {
            Some(Key::Isbn { bare, .. }) => bare,
            _ => None,
        };
        assert_eq!(own("9619658"), Some("9619658".into()));
        assert_eq!(own(" 0306406152.0 "), Some("0306406152".into()));
        assert_eq!(own("sku:0306406152"), Some("SKU:0306406152".into()));
        for surely in ["0-306-40615-2", "ISBN 0306406152", "9780306406157"] {
            assert_eq!(own(surely), None, "{surely}");
        }
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
            ("000000", Reason::Placeholder),
            ("0", Reason::Placeholder),
            ("1111111111", Reason::Placeholder),
            ("9999999999999", Reason::Placeholder),
            ("n/a", Reason::Placeholder),
            ("None", Reason::Placeholder),
            ("null", Reason::Placeholder),
            ("Unknown", Reason::Placeholder),
            ("9.78119E+12", Reason::ScientificNotation),
            ("4.39E+08", Reason::ScientificNotation),
            ("Dune", Reason::NotAnIsbn),
            // In it stand 00-0700 2017, an ISBN-10 by chance.
            ("Sat Oct 07 00:00:00 -0700 2017", Reason::NotAnIsbn),
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
            // But for the point of a number that is none.
            prop_assert!(!text.is_empty() && !text.contains(|c| is_separator(c) && c != '.'), "{text:?}");
            // A key read as a spelling is the same key.
            match parse(text) {
                Some(Key::Isbn { isbn13, mended, .. }) => {
                    prop_assert!(is_isbn && isbn13 == *text && mended.is_none())
                }
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
            prop_assume!(!is_placeholder(&isbn10));
            prop_assert_eq!(valid(&isbn10), Some((isbn13.clone(), None)));
            prop_assert_eq!(valid(&isbn13), Some((isbn13, None)));
        }

        #[test]
        fn hyphens_spaces_and_case_never_matter(
            isbn10 in isbn10(),
            gaps in prop::collection::vec("[- \u{2010}\u{2014}\u{a0}]{0,2}", 10),
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
