//! What every list keeps to, whatever proposes its entries: which items a user may see, and how many of a kind a list
//! has.
//!
//! Lists are filled greedily, best first, with what the rules allow: the next best takes the place of what they do
//! not.

use serde::{Deserialize, Serialize};

use crate::data::{Descriptions, Editions, UNKNOWN};
use crate::top_k::Scored;

/// Entries of a list among which kinds are counted.
const BLOCK: usize = 10;

/// How many of a block may be in a language of which the user has nothing, if a few may.
const FOREIGN: usize = 2;

/// What is done about items in a language of which the user has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// No list has any.
    Strict,
    /// A list has a few: two of ten.
    #[default]
    Soft,
    Off,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Items by one author in ten entries of a list; 0 for as many as there are.
    pub per_author: usize,
    /// Whether of a series a list has only the first volume that its user has not read.
    pub series_in_order: bool,
    pub language: Language,
    /// Nights after which what stands unread in a list gives way, a little more each night; 0 for never.
    pub stale_after: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { per_author: 3, series_in_order: true, language: Language::default(), stale_after: 7 }
    }
}

impl Settings {
    /// Without any rule.
    pub fn none() -> Self {
        Self { per_author: 0, series_in_order: false, language: Language::Off, stale_after: 0 }
    }
}

/// The rules for all users.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    settings: Settings,
    editions: &'a Editions,
    descriptions: &'a Descriptions,
    /// Whether each item may be in any list; empty if all may.
    candidates: &'a [bool],
    /// The volumes of each series, rising.
    volumes: Vec<Vec<f32>>,
}

impl<'a> Rules<'a> {
    pub fn new(
        settings: &Settings,
        editions: &'a Editions,
        descriptions: &'a Descriptions,
        candidates: &'a [bool],
    ) -> Self {
        let mut volumes: Vec<Vec<f32>> = Vec::new();
        for (series, [first, last]) in descriptions.series.iter().zip(&descriptions.volumes) {
            if *series != UNKNOWN && is_whole(*first, *last) {
                let series = *series as usize;
                if volumes.len() <= series {
                    volumes.resize(series + 1, Vec::new());
                }
                volumes[series].push(*first);
            }
        }
        for volumes in &mut volumes {
            volumes.sort_unstable_by(f32::total_cmp);
            volumes.dedup();
        }
        Self { settings: settings.clone(), editions, descriptions, candidates, volumes }
    }

    /// Whether any list may have an item.
    pub fn is_candidate(&self, item: u32) -> bool {
        self.candidates.get(item as usize).is_none_or(|is_candidate| *is_candidate)
    }

    /// The rules for a user who has `own` items, and is not to see `hidden` ones; both must rise.
    pub fn of_user<'b>(&'b self, own: &'b [u32], hidden: &'b [u32]) -> OfUser<'b> {
        let (mut next, mut languages) = (Vec::new(), Vec::new());
        if !self.descriptions.series.is_empty() {
            let mut read: Vec<(u32, [f32; 2])> = own.iter().filter_map(|item| self.volume(*item)).collect();
            read.sort_unstable_by_key(|(series, _)| *series);
            for read in read.chunk_by(|a, b| a.0 == b.0) {
                next.push((read[0].0, self.first_unread(read)));
            }
        }
        if self.settings.language != Language::Off {
            languages = own.iter().map(|item| self.language(*item)).collect();
            languages.sort_unstable();
            languages.dedup();
            languages.retain(|language| *language != UNKNOWN);
        }
        OfUser { rules: self, own, hidden, next, languages }
    }

    /// The rules beside an item of which nothing is known but that somebody looks at it: of series the first volume, and
    /// of its own the next.
    pub fn of_page<'b>(&'b self, item: &'b [u32]) -> OfUser<'b> {
        let mut of_page = self.of_user(item, &[]);
        if let Some((series, [_, last])) = item.first().and_then(|item| self.volume(*item)) {
            let all = self.volumes.get(series as usize).into_iter().flatten().copied();
            of_page.next = vec![(series, all.filter(|volume| *volume > last).fold(f32::INFINITY, f32::min))];
        }
        of_page
    }

    /// The first volume of a series that is not among those `read`; infinite if all are.
    fn first_unread(&self, read: &[(u32, [f32; 2])]) -> f32 {
        let is_read = |volume: f32| read.iter().any(|(_, [first, last])| (*first..=*last).contains(&volume));
        let all = read.first().and_then(|(series, _)| self.volumes.get(*series as usize));
        all.and_then(|all| all.iter().copied().find(|volume| !is_read(*volume))).unwrap_or(f32::INFINITY)
    }

    /// The series of an item, and its first and last volume in it.
    fn volume(&self, item: u32) -> Option<(u32, [f32; 2])> {
        let series = *self.descriptions.series.get(item as usize)?;
        (series != UNKNOWN).then(|| (series, self.descriptions.volumes[item as usize]))
    }

    fn language(&self, item: u32) -> u32 {
        self.descriptions.languages.get(item as usize).copied().unwrap_or(UNKNOWN)
    }

    fn author(&self, item: u32) -> u32 {
        self.descriptions.writers.get(item as usize).copied().unwrap_or(UNKNOWN)
    }
}

/// Whether these are the first and last of a single volume that must be read before later ones: no collection of
/// several, nor what stands between two or before the first.
fn is_whole(first: f32, last: f32) -> bool {
    first == last && first >= 1.0 && first.fract() == 0.0
}

/// The rules for one user.
#[derive(Clone, Debug)]
pub struct OfUser<'a> {
    rules: &'a Rules<'a>,
    own: &'a [u32],
    hidden: &'a [u32],
    /// The series that the user has begun, and the first unread volume of each.
    next: Vec<(u32, f32)>,
    /// Those of the user's items.
    languages: Vec<u32>,
}

impl<'a> OfUser<'a> {
    /// Whether the user may see an item.
    pub fn allows(&self, item: u32) -> bool {
        let editions = self.rules.editions;
        let is_foreign = self.rules.settings.language == Language::Strict && self.is_foreign(item);
        let is_hidden = !self.hidden.is_empty() && editions.has(self.hidden, item);
        let has = editions.has(self.own, item);
        self.rules.is_candidate(item) && !(is_foreign || is_hidden || has || self.is_out_of_order(item))
    }

    /// Whether a list that is there breaks a rule for authors, series or languages.
    pub fn breaks(&self, list: &[u32]) -> bool {
        let Settings { per_author, language, .. } = self.rules.settings;
        let is_forbidden = |item: &u32| {
            self.is_out_of_order(*item) || language == Language::Strict && self.is_foreign(*item)
        };
        let has_too_many = |block: &[u32]| {
            let foreign = block.iter().filter(|item| self.is_foreign(**item)).count();
            let mut authors: Vec<u32> = block.iter().map(|item| self.rules.author(*item)).collect();
            authors.retain(|author| *author != UNKNOWN);
            authors.sort_unstable();
            let most = authors.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or_default();
            per_author > 0 && most > per_author || language == Language::Soft && foreign > FOREIGN
        };
        list.iter().any(is_forbidden) || list.chunks(BLOCK).any(has_too_many)
    }

    /// The languages of the user's items; none where they make no difference.
    pub fn languages(&self) -> &[u32] {
        &self.languages
    }

    /// Whether an item is the next volume of a series that the user has begun.
    pub fn is_next(&self, item: u32) -> bool {
        let is_next = |(series, [first, last]): (u32, [f32; 2])| {
            self.next_of(series).is_some_and(|next| (first..=last).contains(&next))
        };
        self.rules.volume(item).is_some_and(is_next)
    }

    /// A list of at most `n` entries, `new` of them new items.
    pub fn list(&'a self, n: usize, new: usize) -> List<'a> {
        let entries = Vec::with_capacity(n.min(1 << 10));
        List { of_user: self, entries, kinds: Vec::new(), later: Vec::new(), n, new }
    }

    fn next_of(&self, series: u32) -> Option<f32> {
        let place = self.next.binary_search_by_key(&series, |(series, _)| *series).ok()?;
        Some(self.next[place].1)
    }

    /// Whether an item is of a series, and not the first of its volumes that the user has not read.
    fn is_out_of_order(&self, item: u32) -> bool {
        if !self.rules.settings.series_in_order {
            return false;
        }
        self.rules.volume(item).is_some_and(|(series, [first, last])| {
            let of_all = || self.rules.volumes.get(series as usize)?.first().copied();
            let next = self.next_of(series).or_else(of_all).unwrap_or(f32::INFINITY);
            match is_whole(first, last) {
                true => first != next,
                // What stands between two volumes follows the one before it.
                false if first == last => first > next || first.is_infinite(),
                false => !(first..=last).contains(&next),
            }
        })
    }

    fn is_foreign(&self, item: u32) -> bool {
        let language = self.rules.language(item);
        language != UNKNOWN && !self.languages.is_empty() && self.languages.binary_search(&language).is_err()
    }
}

/// A list that is being filled, best first.
#[derive(Clone, Debug)]
pub struct List<'a> {
    of_user: &'a OfUser<'a>,
    entries: Vec<Scored>,
    /// Of each entry of the block that is being filled.
    kinds: Vec<ItemKind>,
    /// What waits for the next block, and whether it is new.
    later: Vec<(Scored, bool)>,
    n: usize,
    /// How many more may be new.
    new: usize,
}

/// What items are counted by.
#[derive(Clone, Copy, Debug)]
struct ItemKind {
    author: u32,
    is_foreign: bool,
}

impl List<'_> {
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.n
    }

    /// Adds an entry that the user [may see](OfUser::allows), if the rules allow it beside those that are there; one that is
    /// too many of a kind comes in the next block of ten, if the list is so long. Whoever stands further back has no
    /// higher score.
    pub fn offer(&mut self, entry: Scored, is_new: bool) {
        if self.is_full() {
            return;
        }
        let kind = self.kind(entry.item);
        if self.has_enough(kind) {
            if self.n > BLOCK {
                self.later.push((entry, is_new));
            }
            return;
        }
        self.place(entry, kind, is_new);
        while self.kinds.is_empty() && !self.later.is_empty() && !self.is_full() {
            for (entry, is_new) in std::mem::take(&mut self.later) {
                let kind = self.kind(entry.item);
                match self.has_enough(kind) {
                    true => self.later.push((entry, is_new)),
                    false => self.place(entry, kind, is_new),
                }
            }
        }
    }

    fn place(&mut self, mut entry: Scored, kind: ItemKind, is_new: bool) {
        let editions = self.of_user.rules.editions;
        let is_shown = |other: &Scored| editions.are_one(other.item, entry.item);
        if self.is_full() || is_new && self.new == 0 || self.entries.iter().any(is_shown) {
            return;
        }
        if let Some(last) = self.entries.last() {
            // Not `min`, which would hide a NaN.
            if entry.score > last.score {
                entry.score = last.score;
            }
        }
        self.new -= usize::from(is_new);
        self.entries.push(entry);
        self.kinds.push(kind);
        if self.kinds.len() == BLOCK {
            self.kinds.clear();
        }
    }

    fn kind(&self, item: u32) -> ItemKind {
        let is_foreign =
            self.of_user.rules.settings.language == Language::Soft && self.of_user.is_foreign(item);
        ItemKind { author: self.of_user.rules.author(item), is_foreign }
    }

    /// Whether the block that is being filled has as many of a kind as it may.
    fn has_enough(&self, kind: ItemKind) -> bool {
        let most = self.of_user.rules.settings.per_author;
        let count =
            |is_one: &dyn Fn(&ItemKind) -> bool| self.kinds.iter().filter(|kind| is_one(kind)).count();
        most > 0 && kind.author != UNKNOWN && count(&|other| other.author == kind.author) >= most
            || kind.is_foreign && count(&|other| other.is_foreign) >= FOREIGN
    }

    pub fn into_entries(self) -> Vec<Scored> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(item: u32) -> Scored {
        Scored { item, score: -(item as f32) }
    }

    fn chosen(rules: &Rules<'_>, own: &[u32], hidden: &[u32], items: &[u32], n: usize) -> Vec<u32> {
        let of_user = rules.of_user(own, hidden);
        let mut list = of_user.list(n, n);
        let allowed = items.iter().filter(|item| of_user.allows(**item));
        allowed.for_each(|item| list.offer(scored(*item), false));
        list.into_entries().into_iter().map(|entry| entry.item).collect()
    }

    #[test]
    fn no_author_has_more_than_a_share() {
        let descriptions =
            Descriptions { writers: vec![0, 0, 0, 0, 1, UNKNOWN, UNKNOWN], ..Descriptions::default() };
        let editions = Editions::default();
        let chosen = |per_author, n| {
            let settings = Settings { per_author, ..Settings::none() };
            let rules = Rules::new(&settings, &editions, &descriptions, &[]);
            chosen(&rules, &[], &[], &[0, 1, 2, 3, 4, 5, 6], n)
        };
        assert_eq!(chosen(3, 10), [0, 1, 2, 4, 5, 6]);
        assert_eq!(chosen(1, 10), [0, 4, 5, 6]);
        assert_eq!(chosen(3, 4), [0, 1, 2, 4]);
        assert_eq!(chosen(0, 10), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_too_many_of_a_kind_comes_in_the_next_ten() {
        let writers = [vec![0; 12], vec![UNKNOWN; 20]].concat();
        let (descriptions, editions) =
            (Descriptions { writers, ..Descriptions::default() }, Editions::default());
        let settings = Settings { per_author: 3, ..Settings::none() };
        let rules = Rules::new(&settings, &editions, &descriptions, &[]);
        let all: Vec<u32> = (0..32).collect();
        let list = chosen(&rules, &[], &[], &all, 25);
        let by_author: Vec<usize> =
            list.chunks(10).map(|block| block.iter().filter(|item| **item < 12).count()).collect();
        assert_eq!((list.len(), by_author), (25, vec![3, 3, 3]));
        assert_eq!(list[10..13], [3, 4, 5]);
        let of_user = rules.of_user(&[], &[]);
        let mut scores = of_user.list(25, 0);
        all.iter().for_each(|item| scores.offer(scored(*item), false));
        assert!(scores.into_entries().is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn a_series_is_read_in_its_order() {
        // A series of volumes 1, 2, 2.5, 3 and 4, of 1 to 3 in one, and of one that cannot be had before others.
        let volumes =
            vec![[1.0; 2], [2.0; 2], [2.5; 2], [3.0; 2], [4.0; 2], [1.0, 3.0], [f32::INFINITY; 2], [0.0; 2]];
        let series = vec![0, 0, 0, 0, 0, 0, 0, UNKNOWN];
        let descriptions = Descriptions { series, volumes, ..Descriptions::default() };
        let editions = Editions::default();
        let settings = Settings { series_in_order: true, ..Settings::none() };
        let rules = Rules::new(&settings, &editions, &descriptions, &[]);
        let chosen = |own: &[u32]| chosen(&rules, own, &[], &[7, 6, 5, 4, 3, 2, 1, 0], 10);
        assert_eq!(chosen(&[]), [7, 5, 0]);
        assert_eq!(chosen(&[0]), [7, 5, 1]);
        assert_eq!(chosen(&[0, 1]), [7, 5, 3, 2]);
        assert_eq!(chosen(&[3]), [7, 5, 0], "the first that was not read");
        assert_eq!(chosen(&[5]), [7, 4, 2], "1 to 3 are read");
        assert_eq!(chosen(&[5, 4]), [7, 2], "all are read");
    }

    #[test]
    fn a_language_that_was_never_read_has_few_places() {
        let descriptions =
            Descriptions { languages: vec![1, 2, 2, 2, 2, UNKNOWN], ..Descriptions::default() };
        let editions = Editions::default();
        let chosen = |language, own: &[u32]| {
            let settings = Settings { language, ..Settings::none() };
            let rules = Rules::new(&settings, &editions, &descriptions, &[]);
            chosen(&rules, own, &[], &[1, 2, 3, 4, 5], 10)
        };
        assert_eq!(chosen(Language::Strict, &[0]), [5]);
        assert_eq!(chosen(Language::Soft, &[0]), [1, 2, 5]);
        for all in
            [chosen(Language::Off, &[0]), chosen(Language::Strict, &[]), chosen(Language::Strict, &[5])]
        {
            assert!([1, 2, 3, 4].iter().all(|item| all.contains(item)), "{all:?}");
        }
        assert_eq!(chosen(Language::Strict, &[1]), [2, 3, 4, 5]);
    }

    #[test]
    fn what_is_hidden_or_no_candidate_is_in_no_list_in_any_edition() {
        let (descriptions, editions) = (Descriptions::default(), Editions::of_works(vec![7, 7, 1, 2, 3]));
        let candidates = [true, true, true, false, true];
        let rules = Rules::new(&Settings::none(), &editions, &descriptions, &candidates);
        assert_eq!(chosen(&rules, &[], &[], &[0, 1, 2, 3, 4], 10), [0, 2, 4]);
        assert_eq!(chosen(&rules, &[4], &[1], &[0, 1, 2, 3, 4], 10), [2]);
        assert!(rules.is_candidate(0) && !rules.is_candidate(3));
    }
}
