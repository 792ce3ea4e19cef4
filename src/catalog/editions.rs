//! Books that are one work: hardcover and paperback, with an ISBN each.
//!
//! A title has a stem, which is what stands before a colon and outside brackets, and may have more: a
//! subtitle, and numbers in brackets. Books with the same stem and the same author are one work, as long as they
//! do not differ in what more they have: `Emma`, `Emma (Penguin Classics)` and `Emma: A Novel` are one, but
//! `Naruto (Volume 1)` and `Naruto (Volume 2)` are not, nor is `Naruto` either of them.

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

/// The work of a book that has no other edition.
const NONE: u32 = u32::MAX;

/// What a book is called, as one may compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// A digest of the title's stem and the author.
    stem: u64,
    /// A digest of what more the title has; 0 for nothing.
    more: u64,
}

impl Name {
    /// `None` if title or author have no letter or digit.
    pub fn new(title: &str, author: &str) -> Option<Self> {
        let (mut outside, mut numbers, mut depth) = (String::new(), String::new(), 0usize);
        for c in title.nfkd() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ if depth == 0 => outside.push(c),
                // Between two numbers there is always something else.
                _ => numbers.push(if c.is_ascii_digit() { c } else { ' ' }),
            }
        }
        let (stem, subtitle) = outside.split_once(':').unwrap_or((&outside, ""));
        let (stem, author) = (folded(stem), surname(author));
        if stem.is_empty() || author.is_empty() {
            return None;
        }
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        let more = format!("{}\n{}", folded(subtitle), numbers.join(" "));
        let more = if more.trim().is_empty() { 0 } else { xxh3_64(more.as_bytes()) };
        Some(Self { stem: xxh3_64(format!("{stem}\n{author}").as_bytes()), more })
    }
}

/// Letters and digits, without accents and in small letters.
fn folded(text: &str) -> String {
    text.nfkd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The last name and the first initial: first names are shortened in as many ways as there are.
fn surname(author: &str) -> String {
    let author = author.trim_end_matches(|c: char| !c.is_alphanumeric());
    let (last, first) = match author.split_once(',') {
        Some(names) => names,
        None => {
            let (first, last) = author.rsplit_once([' ', '.']).unwrap_or(("", author));
            (last, first)
        }
    };
    let mut name = folded(last);
    name.extend(folded(first).chars().next());
    name
}

/// Which books are editions of which work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editions {
    /// The work of each book, [`NONE`] for one without other editions. Books past the end have none either.
    works: Vec<u32>,
    /// Codes of the books of each work, rising, work by work.
    items: Vec<u32>,
    /// Where the books of each work begin, and one past the last.
    starts: Vec<u32>,
}

impl Editions {
    /// Of books, by code and name.
    pub fn new(mut named: Vec<(u32, Name)>) -> Self {
        named.sort_unstable_by_key(|(item, name)| (name.stem, name.more, *item));
        named.dedup();
        let mut works: Vec<Vec<u32>> = Vec::new();
        for alike in named.chunk_by(|a, b| a.1.stem == b.1.stem) {
            let least = alike.iter().map(|(_, name)| name.more).find(|more| *more != 0);
            let differ = alike.iter().any(|(_, name)| name.more != 0 && Some(name.more) != least);
            let codes = |part: &[(u32, Name)]| part.iter().map(|(item, _)| *item).collect();
            match differ {
                true => works.extend(alike.chunk_by(|a, b| a.1.more == b.1.more).map(codes)),
                false => works.push(codes(alike)),
            }
        }
        let most = named.iter().map(|(item, _)| *item as usize + 1).max().unwrap_or_default();
        // A book that the table has twice, by different names, is what it was called first.
        let mut numbers = vec![NONE; most];
        works.sort_unstable();
        for (work, items) in works.iter().enumerate() {
            for item in items {
                let number = &mut numbers[*item as usize];
                *number = (*number).min(work as u32);
            }
        }
        Self::of_works(numbers)
    }

    /// From a number for each book, equal for editions of one work.
    pub fn of_works(mut works: Vec<u32>) -> Self {
        let mut books: Vec<(u32, u32)> = works.iter().copied().zip(0..).collect();
        books.retain(|(work, _)| *work != NONE);
        books.sort_unstable();
        works.fill(NONE);
        let (mut items, mut starts) = (Vec::new(), vec![0]);
        for work in books.chunk_by(|a, b| a.0 == b.0).filter(|work| work.len() > 1) {
            for (_, item) in work {
                works[*item as usize] = starts.len() as u32 - 1;
                items.push(*item);
            }
            starts.push(items.len() as u32);
        }
        if items.is_empty() {
            return Self::default();
        }
        Self { works, items, starts }
    }

    /// A number for each of so many books, equal for editions of one work, and [`NONE`] for one without others.
    pub fn works(&self, books: usize) -> Vec<u32> {
        (0..books).map(|item| self.works.get(item).copied().unwrap_or(NONE)).collect()
    }

    /// How many works have several editions, and how many books these are.
    pub fn count(&self) -> (usize, usize) {
        (self.starts.len().saturating_sub(1), self.items.len())
    }

    /// The codes of all editions of a book's work, rising; none if it is the only one.
    pub fn of(&self, item: u32) -> &[u32] {
        match self.works.get(item as usize) {
            Some(work) if *work != NONE => {
                let work = *work as usize;
                &self.items[self.starts[work] as usize..self.starts[work + 1] as usize]
            }
            _ => &[],
        }
    }

    /// Whether a book, or another edition of it, is among some that rise.
    pub fn has(&self, books: &[u32], item: u32) -> bool {
        books.binary_search(&item).is_ok()
            || self.of(item).iter().any(|other| books.binary_search(other).is_ok())
    }

    /// Whether two books are editions of one work.
    pub fn are_one(&self, item: u32, other: u32) -> bool {
        item == other || self.of(item).contains(&other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works(titles: &[(&str, &str)]) -> Vec<Vec<u32>> {
        let named = |(place, (title, author)): (usize, &(&str, &str))| {
            Name::new(title, author).map(|name| (place as u32, name))
        };
        let editions = Editions::new(titles.iter().enumerate().filter_map(named).collect());
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
            ("Émma", "J.Austen"),
            ("Emma", "Alexander McCall Smith"),
            ("Persuasion", "Jane Austen"),
        ];
        assert_eq!(works(&titles), [[0, 1, 2, 3]]);
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
        ];
        assert_eq!(works(&titles), [[1, 2], [6, 7]]);
    }

    #[test]
    fn names_without_letters_say_nothing() {
        assert_eq!(
            works(&[("?", "A. N. Other"), ("!", "A. N. Other"), ("It", " "), ("It", "")]),
            [[0u32; 0]; 0]
        );
        let twice = Name::new("It", "Stephen King").map(|name| (7, name));
        let editions = Editions::new([twice, twice].into_iter().flatten().collect());
        assert_eq!((editions.of(7), editions.of(9), editions.count()), (&[][..], &[][..], (0, 0)));
    }

    #[test]
    fn numbers_say_the_same_as_names() {
        let names = ["It", "It (1990)", "Emma", "It"].map(|title| Name::new(title, "X Y").expect("a name"));
        let editions = Editions::new((0..).zip(names).collect());
        assert_eq!((editions.of(3), editions.of(2), editions.count()), (&[0, 1, 3][..], &[][..], (1, 3)));
        assert_eq!(Editions::of_works(editions.works(6)).works(6), editions.works(6));
        assert!(editions.are_one(0, 3) && editions.are_one(2, 2) && !editions.are_one(2, 3));
        assert!(editions.has(&[1, 2], 3) && !editions.has(&[2, 4], 3) && editions.has(&[4], 4));
        // A book that is called two things belongs to one work.
        let called = |title| Name::new(title, "X Y").expect("a name");
        let editions =
            Editions::new(vec![(0, called("A")), (1, called("A")), (1, called("B")), (2, called("B"))]);
        assert_eq!(editions.count(), (1, 2));
    }
}
