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

#[cfg(test)]
mod tests;

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
