//! How well a name fits what a column can hold, in files and in databases alike.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::FileKind;
pub use super::vocabulary::Field;
use super::vocabulary::{NAMES, OTHERS};
use crate::error::{Error, Kind, Result, nearest};

/// The fields of a kind of file, in the order in which a file without a header has them.
pub(super) fn usual_order(kind: FileKind) -> &'static [Field] {
    use Field::{Author, Isbn, Publisher, RatedAt, Rating, Title, User, Year};
    match kind {
        FileKind::Ratings => &[User, Isbn, Rating, RatedAt],
        FileKind::Books => &[Isbn, Title, Author, Year, Publisher],
    }
}

/// The fields that a kind of file is imported for.
pub(super) fn wanted(kind: FileKind) -> &'static [Field] {
    use Field::{
        Author, Description, Genre, Isbn, Publisher, RatedAt, Rating, Series, Title, User, Volume, Year,
    };
    match kind {
        FileKind::Ratings => &[User, Isbn, Rating, RatedAt],
        FileKind::Books => &[Isbn, Title, Author, Year, Publisher, Genre, Description, Series, Volume],
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(names(*self).first().unwrap_or(&"-"))
    }
}

/// The names that a field goes by.
pub fn names(field: Field) -> &'static [&'static str] {
    NAMES.iter().find(|(other, _)| *other == field).map_or(&[], |(_, names)| names)
}

/// A name in lower case, letters and digits only, without accents.
pub fn folded(name: &str) -> String {
    name.nfd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name: `customerId`, `Customer-ID` and `customer_id` have the same two.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = !c.is_alphanumeric()
            || c.is_uppercase() && before.is_lowercase()
            || c.is_ascii_digit() != before.is_ascii_digit() && before.is_alphanumeric();
        if begins {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How well a name fits a field: from 0.8 to 1 if it is one of the field's names, the first of which are the surest; 0.5
/// if such a name is among its words; else 0.
pub fn fit(name: &str, field: Field) -> f64 {
    let (whole, list) = (folded(name), names(field));
    if let Some(place) = list.iter().position(|known| folded(known) == whole) {
        return 1.0 - 0.2 * place as f64 / list.len() as f64;
    }
    let own = words(name);
    if own.iter().any(|word| OTHERS.contains(&word.as_str())) {
        return 0.0;
    }
    let is_inside = |known: &&&str| {
        let known = words(known);
        known.iter().map(String::len).sum::<usize>() > 3 && own.windows(known.len()).any(|part| part == known)
    };
    if list.iter().any(|known| is_inside(&known)) { 0.5 } else { 0.0 }
}

/// Whether a name says that its column has ISBNs.
pub fn is_isbn_name(name: &str) -> bool {
    let is = |word: &String| ["isbn", "isbns", "ean", "gtin"].contains(&word.as_str());
    words(name).iter().any(is) || folded(name).starts_with("isbn") || folded(name).starts_with("ean1")
}

/// How many of these texts are names of columns.
pub(super) fn known(row: &[String]) -> usize {
    row.iter().filter(|text| is_known(text)).count()
}

pub(super) fn is_known(text: &str) -> bool {
    NAMES.iter().any(|(field, _)| fit(text, *field) >= 0.8)
}

/// A column as named on the command line.
pub(super) fn column(name: &str) -> Result<Field> {
    let known = NAMES.iter().find(|(_, names)| names.iter().any(|known| folded(known) == folded(name)));
    match known {
        Some((field, _)) => Ok(*field),
        None if matches!(name.trim(), "-" | "") => Ok(Field::Skip),
        None => {
            let all = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
            let meant = nearest(name, all).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Err(Error::new(Kind::Config, format!("--columns: there is no column {name}{meant}")).hint(
                "give user, isbn, rating, rated_at, title, author, year, publisher, genre, description, series, volume, \
                 or `-`, in the order of the file; or which is which, as in user=Customer,isbn=EAN",
            ))
        }
    }
}

/// What each column holds, as `--columns` says: a list by place, or fields with the names of their columns.
///
/// # Errors
/// [`Kind::Config`] if a word is no field, or a name no column of `header`.
pub(super) fn as_told(told: &[String], header: &[String]) -> Result<Vec<Field>> {
    if !told.iter().any(|word| word.contains('=')) {
        return told.iter().map(|name| column(name)).collect();
    }
    let mut columns = vec![Field::Skip; header.len()];
    for word in told {
        let Some((field, name)) = word.split_once('=') else {
            return Err(Error::new(Kind::Config, format!("--columns: {word} says not which column it is"))
                .hint("give either a list by place, or all as in user=Customer,isbn=EAN"));
        };
        let field = column(field)?;
        let exact = header.iter().position(|own| own.trim() == name.trim());
        let place = exact.or_else(|| header.iter().position(|own| folded(own) == folded(name)));
        let Some(place) = place else {
            let near = nearest(name, header.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(Error::new(Kind::Config, format!("--columns: the file has no column {name}{near}"))
                .hint(format!("it has {}", header.join(", "))));
        };
        columns[place] = field;
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_whole_words() {
        for (name, field) in [
            ("User-ID", Field::User),
            ("Customer ID", Field::User),
            ("borrowernumber", Field::User),
            ("reviewerID", Field::User),
            ("Kundennummer", Field::User),
            ("ISBN-13", Field::Isbn),
            ("parent_asin", Field::Isbn),
            ("EAN", Field::Isbn),
            ("Book-Rating", Field::Rating),
            ("My Rating", Field::Rating),
            ("Puntuación", Field::Rating),
            ("created_at", Field::RatedAt),
            ("Book-Title", Field::Title),
        ] {
            assert!(fit(name, field) >= 0.8, "{name}");
        }
        assert_eq!(fit("review/score", Field::Rating), fit("review_score", Field::Rating));
        assert_eq!(fit("book_ean_code", Field::Isbn), 0.5);
        for (name, field) in [
            ("bookmark_key", Field::Rating),
            ("Average Rating", Field::Rating),
            ("ratings_count", Field::Rating),
            ("Lending Patron", Field::User),
            ("notes", Field::Rating),
            ("dateless", Field::RatedAt),
        ] {
            assert_eq!(fit(name, field), 0.0, "{name}");
        }
    }
}
