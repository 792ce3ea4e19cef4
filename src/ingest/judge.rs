//! What the columns of a file hold, by their names and by their values.

use std::collections::HashMap;

use super::contents::{Content, is_missing};
use super::fields::{self, Field, as_told, usual_order};
use super::{FileKind, Hints, number};
use crate::error::{Error, Kind, Result};
use crate::text::plain;

/// What was found out about the columns of a file.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// In the order of the file.
    pub columns: Vec<Field>,
    /// What the file is imported as; one that holds both gives both, and one of readers alone nothing.
    pub kinds: Vec<FileKind>,
    /// Whether it is somebody's own library, so that a book without a mark was not necessarily read.
    pub is_personal: bool,
    /// Whether the books' column holds ISBNs.
    pub has_isbns: bool,
}

/// What there is to judge by.
pub(super) struct Sheet<'a> {
    /// The names of the columns, if the file has any.
    pub names: Option<&'a [String]>,
    pub body: &'a [Vec<String>],
    /// The number of fields that most rows have.
    pub width: usize,
    /// What stands between two fields.
    pub separator: &'a str,
}

/// Columns that only an export of somebody's own library has, folded.
const PERSONAL: [&str; 7] =
    ["exclusiveshelf", "myrating", "readstatus", "bookshelves", "authorsort", "primaryauthor", "datestarted"];

/// Columns that reviews have, folded; what is called a title beside them is that of the review.
const REVIEWED: [&str; 4] = ["text", "body", "helpfulvote", "verifiedpurchase"];

/// With fewer second ratings of a book, titles cannot be compared.
const FEWEST_TITLES: usize = 3;

/// Two columns whose fits differ by less may both be meant.
const NEAR: f64 = 0.1;

impl Sheet<'_> {
    /// Decides what the columns hold.
    ///
    /// # Errors
    /// [`Kind::Config`] if neither names nor values tell, or if there are no readers; the hint says what to type.
    pub(super) fn judge(&self, hints: &Hints) -> Result<Judged> {
        let contents: Vec<Content> = (0..self.width.max(self.names.map_or(0, <[String]>::len)))
            .map(|place| {
                Content::of(self.body.iter().filter_map(move |row| row.get(place)).map(String::as_str))
            })
            .collect();
        let is_told = !hints.columns.is_empty();
        let mut columns = match self.names {
            _ if is_told => as_told(&hints.columns, self.names.unwrap_or_default())?,
            Some(names) => self.by_names(names, &contents)?,
            None => Vec::new(),
        };
        if !is_told && !columns.iter().any(|field| *field != Field::Skip && *field != Field::State) {
            columns = self.by_contents(&contents, hints.kind);
        }
        // Not after a header: if it has fewer names than there are fields, it is unclear which names which.
        if self.names.is_none() || is_told {
            columns.resize(columns.len().max(self.width), Field::Skip);
        }
        self.refuse_catalogues(&columns, &contents)?;
        self.kinds(columns, &contents, hints)
    }

    fn by_names(&self, names: &[String], contents: &[Content]) -> Result<Vec<Field>> {
        let mut columns = vec![Field::Skip; names.len()];
        let fit = |place: usize, field: Field| {
            let (name, content) = (names[place].as_str(), &contents[place]);
            match field {
                // A column without values holds nothing.
                _ if content.known == 0 && !self.body.is_empty() => 0.0,
                Field::User => content.as_user(name),
                Field::Isbn => content.as_item(name),
                // What is called a rating is one, or wrong.
                Field::Rating if fields::fit(name, field) > 0.99 => 1.0,
                Field::Rating => content.as_rating(name),
                // A counter tells which rating is newer, too.
                Field::RatedAt if content.numbers > 0.9 && fields::fit(name, field) >= 0.8 => {
                    fields::fit(name, field)
                }
                Field::RatedAt => content.as_time(name),
                // A shelf has the same few words again and again.
                Field::State if content.known > 20 && content.variety > 0.5 => 0.0,
                field => fields::fit(name, field),
            }
        };
        for field in [Field::Isbn, Field::User, Field::Rating, Field::RatedAt, Field::State]
            .iter()
            .chain(fields::wanted(FileKind::Books))
        {
            if columns.contains(field) {
                continue;
            }
            let is_id = matches!(field, Field::User | Field::Isbn | Field::Rating | Field::RatedAt);
            let least = if is_id { 0.5 } else { 0.8 };
            let free = (0..names.len()).filter(|place| columns[*place] == Field::Skip);
            let fits = free.map(|place| (place, fit(place, *field))).filter(|(_, fit)| *fit >= least);
            let mut fits: Vec<(usize, f64)> = fits.collect();
            fits.sort_by(|a, b| b.1.total_cmp(&a.1));
            match fits.as_slice() {
                // Each has the word in its name, and neither is called so.
                [(one, best), (other, next), ..]
                    if matches!(field, Field::User | Field::Isbn) && *best < 0.8 && best - next < NEAR =>
                {
                    return Err(undecided(*field, &names[*one], &names[*other]));
                }
                [(place, _), ..] => columns[*place] = *field,
                [] => {}
            }
        }
        Ok(columns)
    }

    /// Of a file without names, or of which no name is known.
    fn by_contents(&self, contents: &[Content], kind: Option<FileKind>) -> Vec<Field> {
        let width = self.width;
        let contents = &contents[..width.min(contents.len())];
        let is_words = |place: usize| {
            let words = |text: &String| text.contains(' ') || !text.contains(|c: char| c.is_ascii_digit());
            let hits = self.body.iter().filter(|row| row.get(place).is_some_and(words)).count();
            hits * 10 > self.body.len() * 8
        };
        let usual = |kind| usual_order(kind).iter().copied().take(width).collect::<Vec<_>>();
        let most_isbns = (0..width).filter(|place| contents[*place].isbns > 0.5);
        let isbn = most_isbns.max_by(|a, b| contents[*a].isbns.total_cmp(&contents[*b].isbns).then(b.cmp(a)));
        match (kind, isbn) {
            (Some(kind), None) => usual(kind),
            (Some(FileKind::Books), Some(0)) => usual(FileKind::Books),
            (None, Some(0)) if width >= 2 && is_words(1) => usual(FileKind::Books),
            (_, Some(isbn)) => {
                let mut columns = vec![Field::Skip; width];
                columns[isbn] = Field::Isbn;
                let free = |columns: &[Field], is: &dyn Fn(&Content) -> bool| {
                    let places: Vec<usize> = (0..width)
                        .filter(|place| columns[*place] == Field::Skip && is(&contents[*place]))
                        .collect();
                    places
                };
                if let Some(place) = free(&columns, &|content| content.times > 0.5).first() {
                    columns[*place] = Field::RatedAt;
                }
                if let Some(place) = free(&columns, &Content::is_scale).last() {
                    columns[*place] = Field::Rating;
                }
                // If there is more than one, nothing says which.
                if let [user] =
                    free(&columns, &|content| content.known > 0 && content.phrases < 0.5).as_slice()
                {
                    columns[*user] = Field::User;
                }
                columns
            }
            // Where columns have names, and none is known, their order says nothing: in JSON there is none.
            (None, None) if self.names.is_some() => Vec::new(),
            (None, None) if is_isbn_like(self.body, 0) && width >= 2 && is_words(1) => usual(FileKind::Books),
            (None, None) if (3..=4).contains(&width) && is_number(self.body, 2) => usual(FileKind::Ratings),
            (None, None) => Vec::new(),
        }
    }

    /// Two columns with names of books, and none of readers.
    fn refuse_catalogues(&self, columns: &[Field], contents: &[Content]) -> Result<()> {
        let of = |field: Field| {
            columns.iter().position(|column| *column == field).and_then(|place| contents.get(place))
        };
        match (of(Field::User), of(Field::Isbn)) {
            (Some(user), Some(isbn)) if user.keys > 0.9 && isbn.keys > 0.9 => {
                let example = self.body.first().map(|row| row.join(" ")).unwrap_or_default();
                Err(Error::new(
                    Kind::Config,
                    format!(
                        "there are no readers in it: what stands where they might be names books, as in {}",
                        plain(&example)
                    ),
                )
                .hint("recommendations need to know who read what; ratings without readers cannot give any"))
            }
            _ => Ok(()),
        }
    }

    fn kinds(&self, columns: Vec<Field>, contents: &[Content], hints: &Hints) -> Result<Judged> {
        let has = |field: Field| columns.contains(&field);
        let names = self.names.unwrap_or_default();
        let is_personal = !has(Field::User)
            && names.iter().any(|name| PERSONAL.contains(&fields::folded(name).as_str()))
            && (has(Field::Rating) || has(Field::State));
        let of_one = hints.user.is_some() && !has(Field::User);
        if is_personal && !of_one && hints.kind.is_none() && hints.columns.is_empty() {
            return Err(Error::new(Kind::Config, "this is one reader's own library, and it does not say whose").hint(
                "say it: --user NAME (the user_id that the reader has in your database); or --kind books for the books \
                 alone",
            ));
        }
        let is_of_readers = has(Field::User) && !has(Field::Isbn) && self.names.is_some();
        if is_of_readers && hints.kind.is_none() && hints.columns.is_empty() {
            return Ok(Judged { columns, kinds: Vec::new(), is_personal, has_isbns: false });
        }
        let kind = hints.kind.unwrap_or(match has(Field::User) || of_one {
            true => FileKind::Ratings,
            false => FileKind::Books,
        });
        // Unless told, ids alone are not enough: MovieLens has a file of tags, with reader and film, that
        // holds no ratings. A loan has an ISBN, or says when it was.
        let told = hints.kind.is_some() || !hints.columns.is_empty();
        let isbn =
            columns.iter().position(|field| *field == Field::Isbn).and_then(|place| contents.get(place));
        let is_loan = isbn.is_some_and(|content| content.isbns > 0.5) || has(Field::State);
        let needed: &[Field] = match (kind, told || of_one) {
            (FileKind::Ratings, _) if of_one => &[Field::Isbn],
            (FileKind::Ratings, false) if !is_loan => &[Field::User, Field::Isbn, Field::Rating],
            (FileKind::Ratings, _) => &[Field::User, Field::Isbn],
            (FileKind::Books, false) => &[Field::Isbn, Field::Title],
            (FileKind::Books, true) => &[Field::Isbn],
        };
        if needed.iter().any(|field| !columns.contains(field)) {
            return Err(self.puzzled());
        }
        let mut columns = columns;
        if kind == FileKind::Ratings && hints.columns.is_empty() && !self.are_titles_of_books(&columns) {
            columns.iter_mut().filter(|field| **field == Field::Title).for_each(|field| *field = Field::Skip);
        }
        let has = |field: Field| columns.contains(&field);
        let both = hints.kind.is_none()
            && kind == FileKind::Ratings
            && has(Field::Title)
            && hints.columns.is_empty();
        let kinds = if both { vec![FileKind::Ratings, FileKind::Books] } else { vec![kind] };
        let has_isbns = isbn.is_some_and(|content| content.isbns > 0.5);
        Ok(Judged { columns, kinds, is_personal: is_personal || of_one, has_isbns })
    }

    /// Whether the titles beside ratings are those of the books: a review has one, too, and another each time.
    fn are_titles_of_books(&self, columns: &[Field]) -> bool {
        let place = |field: Field| columns.iter().position(|column| *column == field);
        let (Some(isbn), Some(title)) = (place(Field::Isbn), place(Field::Title)) else { return true };
        let mut first: HashMap<&str, &str> = HashMap::new();
        let (mut same, mut other) = (0, 0);
        for row in self.body {
            let (Some(isbn), Some(title)) = (row.get(isbn), row.get(title)) else { continue };
            match first.get(isbn.as_str()) {
                None => drop(first.insert(isbn, title)),
                Some(before) if *before == title => same += 1,
                Some(_) => other += 1,
            }
        }
        if same + other >= FEWEST_TITLES {
            return same >= other;
        }
        let of_review = |name: &String| REVIEWED.contains(&fields::folded(name).as_str());
        !self.names.unwrap_or_default().iter().any(of_review)
    }

    fn puzzled(&self) -> Error {
        let hint = match self.names {
            Some(names) => {
                let example = |place: usize| names.get(place).map_or("COLUMN", String::as_str);
                format!(
                    "say it, such as --columns user={},isbn={},rating={} or --columns isbn={},title={}; the columns are {}",
                    example(0),
                    example(1),
                    example(2),
                    example(0),
                    example(1),
                    names.join(", ")
                )
            }
            None => "say it with --columns user,isbn,rating or --columns isbn,title,author,year,publisher, in the order of \
                     the file; `-` skips a column"
                .to_owned(),
        };
        let first = match (self.names, self.body.first()) {
            (Some(names), _) => names.join(self.separator),
            (None, Some(row)) => row.join(self.separator),
            _ => String::new(),
        };
        puzzled("which column holds what", &first, &hint)
    }
}

fn undecided(field: Field, one: &str, other: &str) -> Error {
    let what = if field == Field::User { "the reader" } else { "the book" };
    Error::new(Kind::Config, plain(&format!("either {one} or {other} is {what}"))).hint(plain(&format!(
        "say which: --columns {field}={one},… or --columns {field}={other},…, with all the columns that count"
    )))
}

fn is_number(rows: &[Vec<String>], place: usize) -> bool {
    let hits = rows.iter().filter(|row| row.get(place).is_some_and(|text| number(text).is_some())).count();
    hits * 10 > rows.len() * 8
}

/// Whether most values have the look of an ISBN, valid or not.
fn is_isbn_like(rows: &[Vec<String>], place: usize) -> bool {
    let is = |text: &String| {
        let code = text.replace(['-', ' '], "");
        !is_missing(text)
            && (9..=13).contains(&code.len())
            && code.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'x' | b'X'))
    };
    let hits = rows.iter().filter(|row| row.get(place).is_some_and(is)).count();
    hits * 10 > rows.len() * 8
}

pub(super) fn puzzled(what: &str, first: &str, hint: &str) -> Error {
    let line: String = plain(first).chars().take(200).collect();
    Error::new(Kind::Config, format!("cannot tell {what}; the first line is: {line}")).hint(hint)
}
