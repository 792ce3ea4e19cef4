//! What an ISBN is dressed in where it stands in somebody's cell: `="0439023483"`, `0306406152 (pbk.) : $7.99`,
//! `urn:isbn:…`, `9780306406157.0`, `9.78030640615E+12`.
//!
//! Pure functions over text that is in upper case and without compatibility forms.

/// What a number with a point or an exponent stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// These digits: nothing but zeros stood behind the point.
    Whole(String),
    /// The first twelve digits of thirteen.
    AllButOne(String),
    /// A number that has lost more digits than that.
    Cut(String),
    /// No whole number.
    Broken(String),
}

/// Reads a number with one point or comma, or with an exponent; `None` for any other text.
///
/// A point is never just dropped: `303880317.0` would become another book's ISBN-10.
pub(super) fn number(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once('E') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_point = mantissa.len() > whole.len();
    if !are_digits(whole) || has_point && !are_digits(fraction) {
        return None;
    }
    let Some(exponent) = exponent else {
        return match fraction.trim_end_matches('0') {
            _ if !has_point || matches!(whole, "978" | "979") => None,
            "" => Some(Number::Whole(whole.to_owned())),
            _ => Some(Number::Broken(text.to_owned())),
        };
    };
    let (sign, power) = exponent.strip_prefix('+').map_or(("", exponent), |power| ("+", power));
    // 12E4 may be somebody's own name of a thing.
    if !are_digits(power) || !has_point && sign.is_empty() {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let missing = power.parse::<usize>().ok().and_then(|power| power.checked_sub(fraction.len()));
    Some(match missing {
        Some(0) => Number::Whole(digits),
        Some(1) if digits.len() == 12 => Number::AllButOne(digits),
        Some(_) => Number::Cut(text.to_owned()),
        None => Number::Broken(text.to_owned()),
    })
}

/// The pieces of a text that may be an ISBN, in their order: what stands between marks, whole and then by words.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |c: char| c.is_ascii_punctuation() && !matches!(c, '-' | '.' | '\'' | '"') || is_money(c);
    text.split(is_mark).flat_map(|piece| std::iter::once(piece).chain(piece.split_whitespace()))
}

/// Whether a piece may be one number: if it has groups, the last of them is a check digit. A date is none.
pub(super) fn is_grouped(piece: &str) -> bool {
    let piece = piece.trim_matches(|c: char| !c.is_alphanumeric());
    let last = piece.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or(piece);
    last.len() == piece.len() || last.chars().count() == 1 || piece.starts_with("97")
}

fn is_money(c: char) -> bool {
    matches!(c, '£' | '€' | '¥' | '¢')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_or_cut_or_none() {
        let is = |text: &str, expected: Option<Number>| assert_eq!(number(text), expected, "{text}");
        is("303880317.0", Some(Number::Whole("303880317".into())));
        is("303880317,00", Some(Number::Whole("303880317".into())));
        is("3.5", Some(Number::Broken("3.5".into())));
        is("3.06406152E+08", Some(Number::Whole("306406152".into())));
        is("9.78030640615E+12", Some(Number::AllButOne("978030640615".into())));
        is("9.780306406157E+12", Some(Number::Whole("9780306406157".into())));
        for cut in ["9.78119E+12", "9,78119E+12", "9E+12", "1.2E+9999999999999999999999"] {
            assert!(matches!(number(cut), Some(Number::Cut(_) | Number::Broken(_))), "{cut}");
        }
        for none in ["", "42", "12E4", "1.2.3", ".5", "5.", "978.0306406157", "E+12", "ABE", "1E", "1.5E-3"] {
            is(none, None);
        }
    }

    #[test]
    fn marks_part_pieces_and_hyphens_do_not() {
        let all: Vec<&str> = pieces("0-306-40615-2 (pbk.) : £7.99").map(str::trim).collect();
        assert_eq!(all[0], "0-306-40615-2");
        assert!(all.contains(&"pbk.") && all.contains(&"7.99"), "{all:?}");
    }
}
