//! Groups books by author and by publisher, and as editions of one work.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::catalog::content::{self, Words};
use crate::catalog::editions::{self, WorkKey};
use crate::catalog::ids::Items;
use crate::catalog::language;
use crate::catalog::series::{AllSeries, SeriesOfBooks, Volume};
use crate::config::Config;
use crate::model::data::{Descriptions, Editions, Group, Interactions, Maker, UNKNOWN};

/// An author or publisher with more books than this says nothing about taste. (Of 100, 300 and 1,000, 300 is
/// the best on Book-Crossing.)
const MOST_BOOKS: usize = 300;

/// Genres that have lists of their own, at most: those with most books.
const MOST_GENRES: usize = 1_000;

/// What a table says of a book, as it stands there.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookTexts<'a> {
    pub title: Option<&'a str>,
    pub author: Option<&'a str>,
    pub publisher: Option<&'a str>,
    pub year: Option<&'a str>,
    pub genre: Option<&'a str>,
    pub description: Option<&'a str>,
    pub series: Option<&'a str>,
    pub volume: Option<&'a str>,
}

/// Who made a book, what it is called and what it is about, in forms that can be compared.
#[derive(Clone, Debug)]
pub struct Particulars {
    pub authors: Vec<String>,
    publisher: Option<String>,
    name: Option<WorkKey>,
    year: Option<f32>,
    title: Vec<u64>,
    subjects: Vec<u64>,
    /// As they are written.
    genres: Vec<String>,
    volume: Option<Volume>,
    /// A digest of what [`writer`] says.
    writer: Option<u64>,
}

impl Particulars {
    pub fn new(texts: BookTexts<'_>) -> Self {
        let BookTexts { title, author, publisher, year, genre, description, series, volume } = texts;
        let maker = |name: Option<&str>| name.map(folded).filter(|name| !name.is_empty());
        let name = title.zip(author).and_then(|(title, author)| WorkKey::new(title, author));
        let authors = author.into_iter().flat_map(people).filter_map(|author| maker(Some(author))).collect();
        let about = |text: Option<&str>, parts: fn(&str) -> Vec<u64>| text.map(parts).unwrap_or_default();
        let subjects = [about(genre, content::labels), about(description, content::words)].concat();
        let genres = genre.into_iter().flat_map(content::parts).map(str::to_owned).collect();
        let volume = match series {
            Some(series) => Volume::of_columns(series, volume),
            None => title.and_then(|title| Volume::of_title(title, author)),
        };
        let writer = author.and_then(writer).map(|name| xxh3_64(name.as_bytes()));
        let (year, title) = (year.and_then(year_of), about(title, content::words));
        Self { authors, publisher: maker(publisher), name, year, title, subjects, genres, volume, writer }
    }
}

/// The year of a field such as `1999`, `1999.0` or `2004-05-01`; `None` for a placeholder such as 0.
fn year_of(field: &str) -> Option<f32> {
    let digits: String = field.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|year: &f32| (1000.0..2100.0).contains(year))
}

/// What the table of books adds to the ratings: which books share a maker, which are editions of one work, and what
/// they are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Related {
    /// Books with a maker in common, from which the ranking model learns.
    pub groups: Vec<Group>,
    /// By code, as [`Maker::codes`].
    authors: Vec<u32>,
    publishers: Vec<u32>,
    /// As [`Descriptions::writers`].
    writers: Vec<u32>,
    series: SeriesOfBooks,
    /// The books of each genre, by its name.
    pub genres: Vec<(String, Vec<u32>)>,
    editions: Editions,
    /// By code; [`f32::NAN`] where it is unknown. Empty where no year is.
    years: Vec<f32>,
    /// As [`Words::finish`].
    titles: Interactions,
    subjects: Interactions,
    /// Rows of the table of books, and how many books with ratings stand in it.
    pub in_table: (u64, usize),
}

impl Related {
    /// What is known of each of `items`.
    pub fn descriptions(&self, items: &Items) -> Arc<Descriptions> {
        let language = |item: usize| items.isbn13(item).map_or(UNKNOWN, language::of_isbn13);
        let (series, volumes) = self.series.clone();
        Arc::new(Descriptions {
            authors: self.authors.clone(),
            writers: self.writers.clone(),
            publishers: self.publishers.clone(),
            series,
            volumes,
            languages: (0..items.len()).map(language).collect(),
            years: self.years.clone(),
            titles: self.titles.clone(),
            subjects: self.subjects.clone(),
        })
    }

    /// Whether any book is known to be of a series.
    pub fn has_series(&self) -> bool {
        !self.series.0.is_empty()
    }

    /// How many words titles, genres and descriptions have together.
    pub fn words(&self) -> usize {
        self.titles.len() + self.subjects.len()
    }

    /// Adds all that lists depend on to a digest.
    pub fn digest(&self, hash: &mut Xxh3, config: &Config, items: usize) {
        for group in &self.groups {
            hash.update(&[group.maker as u8]);
            group.items.iter().for_each(|item| hash.update(&item.to_le_bytes()));
        }
        for (name, books) in &self.genres {
            hash.update(name.as_bytes());
            books.iter().for_each(|item| hash.update(&item.to_le_bytes()));
        }
        let (series, volumes) = &self.series;
        [&self.authors, &self.writers, series]
            .into_iter()
            .flatten()
            .for_each(|code| hash.update(&code.to_le_bytes()));
        volumes.iter().flatten().for_each(|volume| hash.update(&volume.to_le_bytes()));
        let editions = self.editions(config);
        if editions.count().0 > 0 {
            editions.works(items).iter().for_each(|work| hash.update(&work.to_le_bytes()));
        }
        self.years.iter().for_each(|year| hash.update(&year.to_le_bytes()));
        for rows in [&self.titles, &self.subjects] {
            rows.items.iter().for_each(|word| hash.update(&word.to_le_bytes()));
            rows.ratings.iter().for_each(|weight| hash.update(&weight.to_le_bytes()));
        }
    }

    /// All editions, whether lists show several or not.
    pub fn all_editions(&self) -> &Editions {
        &self.editions
    }

    /// The editions of which a list shows only one; empty if `one_edition` is off.
    pub fn editions(&self, config: &Config) -> Cow<'_, Editions> {
        match config.output.one_edition {
            true => Cow::Borrowed(&self.editions),
            false => Cow::Owned(Editions::default()),
        }
    }
}

/// Collects what books have in common while the table of books is read.
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<(Maker, String), Vec<u32>>,
    named: Vec<(WorkKey, Option<u32>)>,
    years: Vec<(u32, f32)>,
    titles: Words,
    subjects: Words,
    /// By folded name: the name as it is written first in the order of letters, and the books.
    genres: HashMap<String, (String, Vec<u32>)>,
    series: AllSeries,
    writers: Vec<(u64, u32)>,
}

impl Groups {
    /// `item` is the book's code, if it has one.
    pub fn add(&mut self, item: Option<u32>, particulars: Particulars) {
        let Particulars { authors, publisher, name, year, title, subjects, genres, volume, writer } =
            particulars;
        if let Some(volume) = volume {
            self.series.add(item, volume, xxh3_64(authors.first().map_or("", String::as_str).as_bytes()));
        }
        if let Some(item) = item {
            self.years.extend(year.map(|year| (item, year)));
            self.writers.extend(writer.map(|writer| (writer, item)));
            self.titles.add(item, &title);
            self.subjects.add(item, &subjects);
            for genre in genres {
                let (name, books) =
                    self.genres.entry(genre.to_lowercase()).or_insert_with(|| (genre.clone(), Vec::new()));
                if genre < *name {
                    *name = genre;
                }
                books.push(item);
            }
            let authors = authors.into_iter().map(|name| (Maker::Author, name));
            for maker in authors.chain(publisher.map(|name| (Maker::Publisher, name))) {
                self.by_name.entry(maker).or_default().push(item);
            }
        }
        self.named.extend(name.map(|name| (name, item)));
    }

    /// Keeps groups of two or more of `items` books, in an order that depends only on their contents.
    pub fn finish(self, items: usize) -> Related {
        let mut groups: Vec<Group> = self
            .by_name
            .into_iter()
            .map(|((maker, _), mut items)| {
                items.sort_unstable();
                items.dedup();
                Group { maker, items }
            })
            .filter(|group| (2..=MOST_BOOKS).contains(&group.items.len()))
            .collect();
        groups.sort_unstable_by(|a, b| (a.maker, &a.items).cmp(&(b.maker, &b.items)));
        let mut years = vec![f32::NAN; if self.years.is_empty() { 0 } else { items }];
        self.years.into_iter().for_each(|(item, year)| years[item as usize] = year);
        let mut genres: Vec<(String, Vec<u32>)> = self.genres.into_values().collect();
        for (_, books) in &mut genres {
            books.sort_unstable();
            books.dedup();
        }
        // Where readers make labels up, most are of a few books.
        genres.sort_unstable_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.cmp(b)));
        genres.truncate(MOST_GENRES);
        genres.sort_unstable();
        Related {
            authors: Maker::Author.codes(&groups, items),
            writers: writers(self.writers, items),
            publishers: Maker::Publisher.codes(&groups, items),
            series: self.series.finish(items),
            genres,
            groups,
            editions: editions::of_names(self.named),
            years,
            titles: self.titles.finish(items),
            subjects: self.subjects.finish(items),
            in_table: (0, 0),
        }
    }
}

/// A number for each of `items` books whose writer has others; [`UNKNOWN`] for the rest.
fn writers(mut books: Vec<(u64, u32)>, items: usize) -> Vec<u32> {
    books.sort_unstable();
    books.dedup();
    let mut codes = vec![UNKNOWN; items];
    let several = books.chunk_by(|a, b| a.0 == b.0).filter(|books| books.len() > 1);
    for (code, books) in (0..).zip(several) {
        books.iter().for_each(|(_, item)| codes[*item as usize] = code);
    }
    codes
}

/// Words that begin a last name of several words.
const PARTICLES: [&str; 14] =
    ["da", "de", "del", "della", "der", "di", "du", "la", "le", "st", "st.", "ten", "van", "von"];

/// The people in a field of authors: `A. Lindgren; B. Collodi`, `J.K. Rowling, Mary GrandPré`. A comma stands between
/// people if there are several words on each side of it; but as that may also be a last name and first names, such a field
/// names one more, the whole. `Tolkien, J. R. R.` and `Le Guin, Ursula K.` are one.
fn people(field: &str) -> Vec<&str> {
    field.split([';', '&', '/']).flat_map(|part| part.split(" and ")).flat_map(people_with_commas).collect()
}

fn people_with_commas(part: &str) -> Vec<&str> {
    let names: Vec<&str> = part.split(',').collect();
    let words = |name: &str| name.split_whitespace().count();
    let first = part.split_whitespace().next().unwrap_or_default().to_lowercase();
    match names.iter().all(|name| words(name) > 1) && !PARTICLES.contains(&first.as_str()) {
        true if names.len() > 1 => std::iter::once(part).chain(names).collect(),
        _ => vec![part],
    }
}

/// The first author without middle initials, since the same one is spelled with and without: `dean koontz`.
fn writer(field: &str) -> Option<String> {
    let first = people(field).into_iter().next()?;
    let (last, given) = first.split_once(',').unwrap_or(("", first));
    let in_order = format!("{given} {last}");
    let words: Vec<String> = in_order
        .split(|c: char| c.is_whitespace() || c == '.')
        .map(folded)
        .filter(|word| !word.is_empty())
        .collect();
    let is_initial = |word: &str| word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let (begin, rest) = words.split_first()?;
    let rest = rest.iter().filter(|word| !is_initial(word));
    Some(std::iter::once(begin).chain(rest).map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// A name in a form that can be compared: `Tolkien, J. R. R.` and `J.R.R. TOLKIEN` become the same.
fn folded(name: &str) -> String {
    let (last, first) = name.split_once(',').unwrap_or((name, ""));
    [first, last]
        .iter()
        .flat_map(|part| part.nfkd())
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_author_in_many_spellings_is_one_group() {
        let by = |name| Particulars::new(BookTexts { author: Some(name), ..BookTexts::default() });
        let mut groups = Groups::default();
        for (item, name) in [
            (5, "J.R.R. Tolkien"),
            (3, "TOLKIEN, J. R. R."),
            (3, "j r r tolkien"),
            (4, "Émile Zola"),
            (1, "?"),
            (2, "?"),
        ] {
            groups.add(Some(item), by(name));
        }
        groups.add(Some(7), {
            let (title, publisher) = (Some("Letters"), Some("J.R.R. Tolkien"));
            Particulars::new(BookTexts { title, publisher, ..BookTexts::default() })
        });
        groups.add(Some(8), by("Emile Zola"));
        groups.add(Some(9), by("Mary GrandPré, J.R.R. Tolkien"));
        groups.add(Some(10), by("Le Guin, Ursula K.; Mary Grandpre"));
        groups.add(Some(11), by("Ursula K. Le Guin"));
        let found = groups.finish(12).groups;
        let author = |items: &[u32]| Group { maker: Maker::Author, items: items.to_vec() };
        assert_eq!(found, [author(&[3, 5, 9]), author(&[4, 8]), author(&[9, 10]), author(&[10, 11])]);
    }

    #[test]
    fn one_writer_is_known_with_and_without_middle_initials() {
        let by = |name| Particulars::new(BookTexts { author: Some(name), ..BookTexts::default() });
        let mut groups = Groups::default();
        for (item, name) in [
            (0, "Dean R. Koontz"),
            (1, "DEAN KOONTZ"),
            (2, "Koontz, Dean R."),
            (3, "Writer 1 of X"),
            (4, "Writer 2 of X"),
        ] {
            groups.add(Some(item), by(name));
        }
        assert_eq!(groups.finish(5).writers, [0, 0, 0, UNKNOWN, UNKNOWN]);
    }
}
