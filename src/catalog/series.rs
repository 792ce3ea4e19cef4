//! Which volume of which series a book is: `Catching Fire (The Hunger Games, #2)`, `Naruto, Vol. 3`, or a column.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use crate::model::data::UNKNOWN;

/// What stands before the number of a volume.
const MARKS: [&str; 17] = [
    "#", "band", "bd", "bk", "book", "books", "deel", "libro", "livre", "no", "nr", "part", "teil", "tome",
    "vol", "volume", "volumes",
];

/// Numbers in words.
const WORDS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// Numbers in Roman figures.
const ROMAN: [&str; 10] = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"];

/// A series of more volumes than this, by nearly as many authors, is a publisher's line of books: nobody reads it in
/// order.
const LINE: usize = 10;

/// A series by name, and which of its volumes a book is.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// In a form that can be compared.
    series: String,
    /// The first and the last: the same for all but collections.
    volumes: [f32; 2],
    /// Whether a column names the series: it is then taken at its word.
    is_named: bool,
}

impl Volume {
    /// From a column of series, such as `The Hunger Games` or `The Hunger Games #2`, and one of volumes.
    pub fn of_columns(series: &str, volume: Option<&str>) -> Option<Self> {
        let in_series = Self::of_part(series);
        let volumes = match volume {
            Some(volume) => numbers(volume)?,
            None => in_series.as_ref()?.volumes,
        };
        let series = in_series.map_or_else(|| folded(series), |volume| volume.series);
        (!series.is_empty()).then_some(Self { series, volumes, is_named: true })
    }

    /// From a title. What stands in brackets names its series, if there is more than a number; else the title itself does,
    /// and its author must be the same.
    pub fn of_title(title: &str, author: Option<&str>) -> Option<Self> {
        let (outside, inside) = match (title.rfind(['(', '[']), title.rfind([')', ']'])) {
            (Some(from), Some(to)) if from < to => (&title[..from], Some(&title[from + 1..to])),
            _ => (title, None),
        };
        let of_author = |name: &str| format!("{}\n{}", folded(name), author.map(folded).unwrap_or_default());
        if let Some(inside) = inside {
            // A book may belong to several series; the first is its own.
            let first = inside.split(';').next().unwrap_or_default();
            let volume = Self::of_part(first)?;
            return Some(match volume.series.is_empty() {
                true => Self { series: of_author(outside), ..volume },
                false => volume,
            });
        }
        // `Naruto, Vol. 3: Dreams`
        let stem = outside.split(':').next().unwrap_or_default();
        let (name, _) = marked(stem)?;
        let volume = Self::of_part(stem).filter(|volume| !volume.series.is_empty())?;
        Some(Self { series: of_author(name), ..volume })
    }

    /// A name, a mark and a number at the end of a part of a title; the name may be missing.
    fn of_part(part: &str) -> Option<Self> {
        let (name, number) = marked(part)?;
        Some(Self { series: folded(name), volumes: numbers(number)?, is_named: false })
    }
}

/// What stands before the last mark of a part, and what stands behind it.
fn marked(part: &str) -> Option<(&str, &str)> {
    if let Some(at) = part.rfind('#') {
        return Some((&part[..at], &part[at + 1..]));
    }
    let mut last = None;
    let mut at = 0;
    for word in part.split_inclusive(|c: char| c.is_whitespace() || c == '.' || c == ',') {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || c == '.' || c == ',');
        if MARKS.contains(&bare.to_lowercase().as_str()) {
            last = Some((at, at + word.len()));
        }
        at += word.len();
    }
    let (from, to) = last?;
    Some((&part[..from], &part[to..]))
}

/// The first and the last of `2`, `2.5`, `1-3`, `II` or `two`; `None` for a year, or what is no number.
fn numbers(text: &str) -> Option<[f32; 2]> {
    let text = text.trim().trim_start_matches(['.', '#', ' ']).to_lowercase();
    let number = |part: &str| {
        let part = part.trim().trim_end_matches('.');
        let spelled =
            |words: [&str; 10]| words.iter().position(|word| *word == part).map(|at| at as f32 + 1.0);
        let number = part.parse::<f32>().ok().or_else(|| spelled(WORDS)).or_else(|| spelled(ROMAN))?;
        (0.0..1400.0).contains(&number).then_some(number)
    };
    match text.split_once(['-', '–', '—', '&', '/']) {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some([first, last])
        }
        None => number(&text).map(|number| [number; 2]),
    }
}

/// Letters and digits in lower case, without accents; no article at the front, no `series` at the end.
fn folded(name: &str) -> String {
    let small: String = name.nfkd().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    let small = small.to_lowercase();
    let mut words: Vec<&str> = small.split_whitespace().collect();
    if words.len() > 1 && ["a", "an", "the"].contains(&words[0]) {
        words.remove(0);
    }
    if words.len() > 1 && ["series", "saga", "trilogy"].contains(&words[words.len() - 1]) {
        words.pop();
    }
    words.join(" ")
}

/// Collects volumes while a table of books is read.
#[derive(Debug, Default)]
pub struct AllSeries {
    codes: HashMap<String, u32>,
    volumes: Vec<Entry>,
    named: HashSet<u32>,
}

/// A book of a series.
#[derive(Clone, Copy, Debug)]
struct Entry {
    series: u32,
    /// `None` if nobody can have it.
    item: Option<u32>,
    volumes: [f32; 2],
    /// A digest.
    author: u64,
}

impl Entry {
    /// Whether it is a single volume that must be read before later ones.
    fn is_whole(&self) -> bool {
        let [first, last] = self.volumes;
        first == last && first >= 1.0 && first.fract() == 0.0
    }

    fn has(&self, number: f32) -> bool {
        (self.volumes[0]..=self.volumes[1]).contains(&number)
    }
}

/// For each book its series, [`UNKNOWN`] for none, and its first and last volume; both empty where there are no series.
/// What stands behind a volume that nobody can have gets infinite ones.
pub type SeriesOfBooks = (Vec<u32>, Vec<[f32; 2]>);

impl AllSeries {
    /// `author` is any number that tells authors apart.
    pub fn add(&mut self, item: Option<u32>, volume: Volume, author: u64) {
        let next = self.codes.len() as u32;
        let series = *self.codes.entry(volume.series).or_insert(next);
        if volume.is_named {
            self.named.insert(series);
        }
        self.volumes.push(Entry { series, item, volumes: volume.volumes, author });
    }

    /// Of `items` books. Series with a single volume are none.
    pub fn finish(mut self, items: usize) -> SeriesOfBooks {
        // Codes that depend on the names alone, not on the order of rows.
        let mut names: Vec<(&String, u32)> = self.codes.iter().map(|(name, code)| (name, *code)).collect();
        names.sort_unstable();
        let mut renumbered = vec![0; names.len()];
        names.iter().enumerate().for_each(|(now, (_, code))| renumbered[*code as usize] = now as u32);
        self.volumes.iter_mut().for_each(|entry| entry.series = renumbered[entry.series as usize]);
        let named: HashSet<u32> = self.named.iter().map(|code| renumbered[*code as usize]).collect();
        self.volumes.sort_unstable_by(|a, b| {
            let by_volumes =
                a.volumes[0].total_cmp(&b.volumes[0]).then(a.volumes[1].total_cmp(&b.volumes[1]));
            (a.series, a.item, a.author).cmp(&(b.series, b.item, b.author)).then(by_volumes)
        });
        let (mut series, mut volumes) = (vec![UNKNOWN; items], vec![[0.0; 2]; items]);
        let mut next = 0;
        for all in self.volumes.chunk_by(|a, b| a.series == b.series) {
            let count = all.iter().map(|entry| entry.volumes[0].to_bits()).collect::<HashSet<u32>>().len();
            let authors = all.iter().map(|entry| entry.author).collect::<HashSet<u64>>().len();
            let is_line = count > LINE && 2 * authors > count && !named.contains(&all[0].series);
            if count < 2 || is_line {
                continue;
            }
            // Nobody can read what has no code, and so nothing behind it comes at its time.
            let can_be_had = |number: f32| all.iter().any(|entry| entry.item.is_some() && entry.has(number));
            let missing = all
                .iter()
                .filter(|entry| entry.item.is_none() && entry.is_whole() && !can_be_had(entry.volumes[0]));
            let barrier = missing.map(|entry| entry.volumes[0]).fold(f32::INFINITY, f32::min);
            for Entry { item, volumes: numbers, .. } in all {
                if let Some(item) = item {
                    series[*item as usize] = next;
                    volumes[*item as usize] =
                        if numbers[0] > barrier { [f32::INFINITY; 2] } else { *numbers };
                }
            }
            next += 1;
        }
        if next == 0 { (Vec::new(), Vec::new()) } else { (series, volumes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_tell_series_and_volume() {
        let of =
            |title| Volume::of_title(title, Some("Ann Ash")).map(|volume| (volume.series, volume.volumes));
        let found = |series: &str, first: f32, last: f32| Some((series.to_owned(), [first, last]));
        assert_eq!(of("Catching Fire (The Hunger Games, #2)"), found("hunger games", 2.0, 2.0));
        assert_eq!(of("Glimmer (Hunger Games Series #1.5; Panem, #7)"), found("hunger games", 1.5, 1.5));
        assert_eq!(of("All (The Hunger Games, #1-3)"), found("hunger games", 1.0, 3.0));
        assert_eq!(of("Blood [Dark Ones, Bk. II]"), found("dark ones", 2.0, 2.0));
        assert_eq!(of("Thorn (Roses Vol. 3)"), found("roses", 3.0, 3.0));
        assert_eq!(of("Naruto (Volume 1)"), found("naruto\nann ash", 1.0, 1.0));
        assert_eq!(of("Naruto, Vol. 12: Dreams"), found("naruto\nann ash", 12.0, 12.0));
        for none in [
            "1984",
            "Emma (Penguin Classics)",
            "Book Lovers",
            "Slaughterhouse-Five",
            "Catch-22",
            "Vol. 3",
            "The Year (Almanac, #1999)",
            "(",
            ")(",
            "No. 1",
            "Part of Me",
            "Fahrenheit 451",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        let columns =
            |series, volume| Volume::of_columns(series, volume).map(|volume| (volume.series, volume.volumes));
        assert_eq!(columns("The Hunger Games", Some("2.0")), found("hunger games", 2.0, 2.0));
        assert_eq!(columns("The Hunger Games #3", None), found("hunger games", 3.0, 3.0));
        assert_eq!((columns("The Hunger Games", None), columns("", Some("1"))), (None, None));
    }

    #[test]
    fn lines_of_books_are_no_series_and_nothing_comes_after_what_cannot_be_had() {
        let volume =
            |series: &str, number: usize| Volume::of_part(&format!("{series} #{number}")).expect("a volume");
        let mut all = AllSeries::default();
        for number in 1..=12 {
            all.add(Some(number), volume("Signet", number as usize), u64::from(number));
        }
        all.add(Some(20), volume("Alone", 1), 1);
        for (item, number) in [(Some(21), 1), (None, 2), (Some(23), 3)] {
            all.add(item, volume("Broken", number), 1);
        }
        for (item, number) in [(Some(24), 1), (Some(25), 2), (None, 2)] {
            all.add(item, volume("Whole", number), 1);
        }
        let (series, volumes) = all.finish(30);
        assert!(series[..21].iter().all(|series| *series == UNKNOWN));
        assert_eq!((volumes[21], volumes[23]), ([1.0; 2], [f32::INFINITY; 2]));
        assert_eq!((series[24], volumes[24], volumes[25]), (series[25], [1.0; 2], [2.0; 2]));
        assert_eq!(AllSeries::default().finish(3), (Vec::new(), Vec::new()));
    }
}
