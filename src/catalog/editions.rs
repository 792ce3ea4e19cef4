//! Finds the books that are editions of one work: hardcover and paperback, each with its own ISBN.
//!
//! A title's stem stands before a colon and outside brackets. The title may have more: a subtitle, and
//! numbers in brackets. Books with the same stem and author are one work, unless what more they have
//! differs: `Emma`, `Emma (Penguin Classics)` and `Emma: A Novel` are one work, but `Naruto (Volume 1)`,
//! `Naruto (Volume 2)` and `Naruto` are three.
//!
//! In doubt, books are different works: an extra edition in a list does less harm than a book nobody sees.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::data::{ALONE, Editions};

/// A title and author that more books share than this is a placeholder, such as "Unknown".
const MOST_EDITIONS: usize = 100;

/// Placeholders that stand where a title is missing.
const UNTITLED: [&str; 7] = ["na", "no title", "none", "null", "title", "unknown", "untitled"];

/// Ignored at the start or the end of a title.
const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// Subtitles that do not tell books apart.
const PLAIN: [&str; 8] =
    ["a memoir", "a mystery", "a novel", "a romance", "memoir", "novel", "roman", "stories"];

/// Words in a subtitle or in brackets that make another book: translations, and books about books.
const APART: [&str; 20] = [
    "calendar",
    "chinese",
    "cliffs",
    "companion",
    "deutsch",
    "dutch",
    "english",
    "espanol",
    "french",
    "german",
    "guide",
    "italian",
    "japanese",
    "journal",
    "notes",
    "portuguese",
    "russian",
    "spanish",
    "summary",
    "workbook",
];

/// Words in brackets that count as numbers.
const COUNTS: [&str; 33] = [
    "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "one", "two", "three", "four", "five",
    "six", "seven", "eight", "nine", "ten", "first", "second", "third", "fourth", "fifth", "sixth",
    "seventh", "eighth", "ninth", "tenth", "上", "中", "下",
];

/// Words beside an author's name that are not part of it.
const HONORIFICS: [&str; 9] = ["author", "dr", "editor", "jr", "md", "phd", "prof", "sir", "sr"];

/// A book's title and author, as digests that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkKey {
    /// A digest of the title's stem, its `APART` words and the author.
    stem: u64,
    /// A digest of the subtitle and the numbers in brackets; 0 if there are none.
    more: u64,
}

impl WorkKey {
    /// `None` if the title is empty or a placeholder, or the author has no name.
    pub fn new(title: &str, author: &str) -> Option<Self> {
        let (outside, brackets) = parted(title);
        let (stem, subtitle) = outside.split_once(':').unwrap_or((&outside, ""));
        let [stem, subtitle, brackets] = [stem, subtitle, &brackets].map(words);
        let (stem, author) = (without_articles(&stem).join(" "), surname(author)?);
        if stem.is_empty() || UNTITLED.contains(&stem.as_str()) {
            return None;
        }
        let apart = subtitle.iter().chain(&brackets).filter(|word| APART.contains(&word.as_str()));
        let whole =
            [&stem, &author].into_iter().chain(apart).map(String::as_str).collect::<Vec<_>>().join("\n");
        let subtitle = match subtitle.join(" ") {
            plain if PLAIN.contains(&plain.as_str()) || plain == stem => String::new(),
            other => other,
        };
        let more = format!("{subtitle}\n{}", numbers(&brackets).join(" "));
        let more = if more.trim().is_empty() { 0 } else { xxh3_64(more.as_bytes()) };
        Some(Self { stem: xxh3_64(whole.as_bytes()), more })
    }
}

/// NFKD: letters apart from their accents, full-width forms as the usual ones. Most titles have neither.
fn decomposed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfkd().collect()) }
}

/// The text outside brackets, and the text inside.
fn parted(text: &str) -> (String, String) {
    let (mut outside, mut inside, mut depth) = (String::new(), String::new(), 0usize);
    for c in decomposed(text).chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(c),
            _ => inside.push(c),
        }
        if "()[]".contains(c) {
            inside.push(' ');
        }
    }
    (outside, inside)
}

/// Words of letters and digits in lower case, without accents and apostrophes. `+` and `#` count as letters:
/// C, C++ and C# differ.
fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || "+#".contains(c);
    let small: String = decomposed(text)
        .chars()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c) && !"'’.".contains(*c))
        .flat_map(char::to_lowercase)
        .collect();
    small.split(|c| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn without_articles(words: &[String]) -> &[String] {
    match words {
        [first, rest @ ..] if !rest.is_empty() && ARTICLES.contains(&first.as_str()) => rest,
        [rest @ .., last] if !rest.is_empty() && ARTICLES.contains(&last.as_str()) => rest,
        all => all,
    }
}

/// The words that number a volume: not years, and not the number of an anniversary, century or edition.
fn numbers(words: &[String]) -> Vec<&str> {
    let counts = |place: &usize| {
        let word = words[*place].as_str();
        let next = words.get(place + 1).map_or("", String::as_str);
        let is_year = word.parse().is_ok_and(|year: u32| (1400..2200).contains(&year));
        let is_number = word.contains(char::is_numeric) || COUNTS.contains(&word);
        is_number && !is_year && !["anniversary", "century", "ed", "edition"].contains(&next)
    };
    (0..words.len()).filter(counts).map(|place| words[place].as_str()).collect()
}

/// The first author's last name and first initial: first names are abbreviated in many different ways.
fn surname(author: &str) -> Option<String> {
    let (author, _) = parted(author);
    let first = author.split([';', '&', '/']).next().unwrap_or_default();
    let first = first.split(" and ").next().unwrap_or_default();
    let (before, after) = first.split_once(',').unwrap_or((first, ""));
    let names = |text: &str| -> Vec<String> {
        // `J.R.R.` is three names.
        let names = words(&text.replace('.', " "));
        names.into_iter().filter(|name| !HONORIFICS.contains(&name.as_str())).collect()
    };
    let (before, after) = (names(before), names(after));
    let mut surname = before.last()?.clone();
    let given = after.first().or(if before.len() > 1 { before.first() } else { None });
    surname.extend(given.and_then(|name| name.chars().next()));
    Some(surname)
}

/// Groups books into works by name. A book without a code is in no work, but its name can keep others apart.
pub fn of_names(mut named: Vec<(WorkKey, Option<u32>)>) -> Editions {
    named.sort_unstable_by_key(|(name, item)| (name.stem, name.more, *item));
    named.dedup();
    let mut books: Vec<(u32, u32)> = Vec::new();
    let mut work = 0;
    let same_stem = |a: &(WorkKey, Option<u32>), b: &(WorkKey, Option<u32>)| a.0.stem == b.0.stem;
    for alike in named.chunk_by(same_stem) {
        let differ = {
            let mut more = alike.iter().map(|(name, _)| name.more).filter(|more| *more != 0);
            let one = more.next();
            more.any(|other| Some(other) != one)
        };
        for edition in alike.chunk_by(|a, b| !differ || a.0.more == b.0.more) {
            if edition.len() <= MOST_EDITIONS {
                books.extend(edition.iter().filter_map(|(_, item)| Some(((*item)?, work))));
                work += 1;
            }
        }
    }
    // A book that the table has twice, by different names, belongs to one of the works.
    books.sort_unstable();
    books.dedup_by_key(|(item, _)| *item);
    let mut works = vec![ALONE; books.last().map_or(0, |(item, _)| *item as usize + 1)];
    books.into_iter().for_each(|(item, work)| works[item as usize] = work);
    Editions::of_works(works)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn works(titles: &[(&str, &str)]) -> Vec<Vec<u32>> {
        let named = |(place, (title, author)): (u32, &(&str, &str))| {
            WorkKey::new(title, author).map(|name| (name, Some(place)))
        };
        let editions = of_names((0..).zip(titles).filter_map(named).collect());
        let mut works: Vec<Vec<u32>> =
            (0..titles.len() as u32).map(|item| editions.of(item).to_vec()).collect();
        works.retain(|work| !work.is_empty());
        works.sort_unstable();
        works.dedup();
        works
    }

    #[test]
    fn one_work_in_many_dresses() {
        let titles = [
            ("Emma", "Jane Austen"),
            ("EMMA (Penguin Classics)", "AUSTEN, JANE"),
            ("Emma : A Novel", "J. Austen"),
            ("Émma (1815, 3rd edition)", "J.Austen (Author); Somebody Else"),
            ("Emma", "Alexander McCall Smith"),
            ("Persuasion", "Jane Austen"),
            ("The Farthest Shore", "Ursula K. Le Guin"),
            ("Farthest Shore, The", "Le Guin, Ursula K."),
        ];
        assert_eq!(works(&titles), [vec![0, 1, 2, 3], vec![6, 7]]);
    }

    #[test]
    fn volumes_are_works_of_their_own() {
        let titles = [
            ("Naruto (Volume 1)", "Masashi Kishimoto"),
            ("Naruto (Vol. 2)", "Masashi Kishimoto"),
            ("Naruto (vol 2, paperback)", "Masashi Kishimoto"),
            ("Naruto", "Masashi Kishimoto"),
            ("Preacher: Salvation", "Garth Ennis"),
            ("Preacher: Gone to Texas", "Garth Ennis"),
            ("Preacher", "Garth Ennis"),
            ("Preacher [large print]", "Garth Ennis"),
            ("Naruto 3", "Masashi Kishimoto"),
            ("Ran (Part One)", "A. K."),
            ("Ran (Part II)", "A. K."),
            ("Ran (Part III)", "A. K."),
        ];
        assert_eq!(works(&titles), [[1, 2], [6, 7]]);
    }

    #[test]
    fn other_books_of_nearly_the_same_name_stay_themselves() {
        let titles = [
            ("C How to Program", "Deitel"),
            ("C++ How to Program", "Deitel"),
            ("C# How to Program", "Deitel"),
            ("Letters 1-2", "V. W."),
            ("Letters 12", "V. W."),
            ("1984", "George Orwell"),
            ("1984 (Spanish Edition)", "George Orwell"),
            ("The Lord of the Rings", "J.R.R. Tolkien"),
            ("The Lord of the Rings: A Companion", "J.R.R. Tolkien"),
            ("Selected Poems", "John Keats (Author)"),
            ("Selected Poems", "Jane Kenyon (Author)"),
            ("Strength to Love", "Martin Luther King Jr."),
            ("Strength to Love", "Michael Jordan Jr."),
        ];
        assert_eq!(works(&titles), [[0u32; 0]; 0]);
    }

    #[test]
    fn names_that_say_nothing_bind_nothing() {
        let titles = [("?", "A. N. Other"), ("!", "A. N. Other"), ("It", " "), ("It", ""), ("It", "(ed.)")];
        assert_eq!(works(&titles), [[0u32; 0]; 0]);
        assert_eq!(works(&[("Unknown", "Unknown"), ("unknown", "Unknown")]), [[0u32; 0]; 0]);
        let book = WorkKey::new("Page", "A. N. Other").expect("a name");
        let editions = |books: u32| of_names((0..books).map(|item| (book, Some(item))).collect());
        assert_eq!(editions(MOST_EDITIONS as u32).count(), (1, MOST_EDITIONS));
        assert_eq!(editions(MOST_EDITIONS as u32 + 1), Editions::default());
        // Twice the same book is one.
        assert_eq!(of_names(vec![(book, Some(7)), (book, Some(7))]), Editions::default());
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_title_is_a_name_or_none(
            title in any::<String>(), author in any::<String>(), brackets in "[()\\[\\]: 0-9a-z]{0,30}",
        ) {
            let _ = (WorkKey::new(&title, &author), WorkKey::new(&brackets, &brackets));
            // What is added in brackets, and says nothing, changes nothing.
            let plain = WorkKey::new(&title, &author).filter(|_| !title.contains([':', '(', ')', '[', ']']));
            if let Some(name) = plain {
                prop_assert_eq!(WorkKey::new(&format!("{title} (Paperback)"), &author), Some(name));
            }
        }
    }

    #[test]
    fn books_without_a_code_have_a_say() {
        let name = |title| WorkKey::new(title, "X Y").expect("a name");
        let [plain, first, second] = [name("It"), name("It (1)"), name("It (2)")];
        let known = vec![(plain, Some(0)), (first, Some(1))];
        assert_eq!(of_names(known.clone()).of(0), [0, 1]);
        assert_eq!(of_names([known, vec![(second, None)]].concat()), Editions::default());
    }

    #[test]
    fn numbers_say_the_same_as_names() {
        let name = |title| WorkKey::new(title, "X Y").expect("a name");
        let named = ["It", "It (1990)", "Emma", "It"].map(name).into_iter().zip((0..).map(Some));
        let editions = of_names(named.collect());
        assert_eq!((editions.of(3), editions.of(2), editions.count()), (&[0, 1, 3][..], &[][..], (1, 3)));
        assert_eq!(Editions::of_works(editions.works(4)), editions);
        assert!(editions.are_one(0, 3) && editions.are_one(2, 2) && !editions.are_one(2, 3));
        assert!(editions.has(&[1, 2], 3) && !editions.has(&[2, 4], 3) && editions.has(&[4], 4));
        assert!(editions.has(&[1], 3) && !editions.has(&[2], 3) && !editions.has(&[], 3));
        // A book that is called two things belongs to one work.
        let twice = [("A", 0), ("A", 1), ("B", 1), ("B", 2)].map(|(title, item)| (name(title), Some(item)));
        assert_eq!(of_names(twice.to_vec()).count(), (1, 2));
        // Whatever stands in a file.
        assert_eq!(Editions::of_works(vec![7, u32::MAX, u32::MAX - 1, 7]).of(3), [0, 3]);
    }
}
