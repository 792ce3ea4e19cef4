//! What is known of readers besides what they read: their year of birth, their country.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::encode::Encoded;
use crate::catalog::ids::{UserId, UserRef};
use crate::error::Result;
use crate::model::data::UNKNOWN;

/// A number with more values than this is cut into [`PARTS`], each with as many readers.
const MOST_VALUES: usize = 24;
const PARTS: usize = 8;

/// A category with fewer readers says nothing.
const FEWEST_READERS: usize = 10;

/// Collects the rows of the table of readers.
#[derive(Debug, Default)]
pub struct ReaderTable {
    /// Readers, and a value for each attribute.
    readers: Vec<(UserId, Vec<Option<String>>)>,
}

/// How the table of readers and the ratings belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Readers of the table who have ratings.
    pub rated: usize,
    /// Those who have none.
    pub newcomers: usize,
}

impl ReaderTable {
    pub fn add(&mut self, user: UserRef<'_>, values: Vec<Option<String>>) {
        self.readers.push((user.to_owned(), values));
    }

    /// Whether one of these ids is in it.
    pub fn has(&self, ids: &[UserId]) -> bool {
        self.readers.iter().any(|(user, _)| ids.contains(user))
    }

    /// Readers without ratings join `ratings`, and all get their categories there.
    pub fn finish(self, ratings: &mut Encoded) -> Result<Joined> {
        let attributes = self.readers.first().map_or(0, |(_, values)| values.len());
        let newcomers: Vec<UserId> = {
            let codes = ratings.users.codes();
            let is_new = |user: &&UserId| !codes.contains_key(&user.borrow());
            self.readers.iter().map(|(user, _)| user).filter(is_new).cloned().collect()
        };
        let newcomers_count = newcomers.len();
        ratings.join_readers(newcomers)?;
        let codes = ratings.users.codes();
        let (mut all, mut first) = (Vec::with_capacity(attributes), 0);
        for attribute in 0..attributes {
            let mut values: Vec<Option<&str>> = vec![None; codes.len()];
            for (user, of_reader) in &self.readers {
                if let Some(code) = codes.get(&user.borrow()) {
                    values[*code as usize] =
                        of_reader[attribute].as_deref().map(str::trim).filter(|v| !v.is_empty());
                }
            }
            let (categories, count) = categories(&values, first);
            all.push(categories);
            first += count;
        }
        drop(codes);
        ratings.attributes = all;
        let newcomers = newcomers_count;
        Ok(Joined { rated: self.readers.len() - newcomers, newcomers })
    }
}

/// The category of each reader, numbered from `first`, and how many there are.
fn categories(values: &[Option<&str>], first: u32) -> (Vec<u32>, u32) {
    let known: Vec<&str> = values.iter().copied().flatten().collect();
    let mut numbers: Vec<f64> =
        known.iter().filter_map(|value| value.parse().ok()).filter(|n: &f64| n.is_finite()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let mut distinct = numbers.clone();
    distinct.dedup();
    // Where nearly all values are numbers, and many different ones, near ones belong together.
    let is_number = numbers.len() * 10 > known.len() * 9 && distinct.len() > MOST_VALUES;
    let name = |value: &str| match value.parse::<f64>() {
        Ok(number) if is_number => {
            let below = numbers.partition_point(|other| *other < number);
            (below * PARTS / numbers.len().max(1)).to_string()
        }
        _ => value.to_lowercase(),
    };
    let mut readers: BTreeMap<String, usize> = BTreeMap::new();
    known.iter().for_each(|value| *readers.entry(name(value)).or_default() += 1);
    readers.retain(|_, count| *count >= FEWEST_READERS);
    let codes: HashMap<&str, u32> = readers.keys().map(String::as_str).zip(first..).collect();
    let of = |value: &Option<&str>| {
        value.and_then(|value| codes.get(name(value).as_str()).copied()).unwrap_or(UNKNOWN)
    };
    (values.iter().map(of).collect(), codes.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::encode::{RatingColumns, encode, normalise};
    use crate::config::{Config, KeyKind};

    #[test]
    fn readers_join_and_have_categories() {
        let mut config = Config::default();
        config.items.key = KeyKind::Text;
        let mut columns = RatingColumns::default();
        for user in 0..60i64 {
            columns.push(UserRef::Integer(user * 2), "a book", 5.0, 0.0);
        }
        columns.push(UserRef::Text("x"), "another", 4.0, 0.0);
        let mut ratings = encode(normalise(columns, &config).expect("normalised")).expect("encoded");
        let before = ratings.interactions.clone();
        let mut table = ReaderTable::default();
        for user in (0..121i64).rev() {
            let year = (user != 7).then(|| (1900 + user).to_string());
            let country = if user == 3 {
                "Atlantis"
            } else if user < 60 {
                " Norway"
            } else {
                "norway"
            };
            table.add(UserRef::Integer(user), vec![year, Some(country.to_owned())]);
        }
        table.add(UserRef::Text("y"), vec![None, None]);
        let joined = table.finish(&mut ratings).expect("joined");
        assert_eq!(joined, Joined { rated: 60, newcomers: 62 });
        assert_eq!(ratings.users.len(), 123, "121 with numbers, x and y");
        assert_eq!(ratings.users.get(121), UserRef::Text("x"));
        assert_eq!(
            (ratings.interactions.items.clone(), ratings.interactions.ratings.clone()),
            (before.items, before.ratings)
        );
        for user in 0..121 {
            assert_eq!(ratings.interactions.of(user).0.len(), usize::from(user % 2 == 0 && user < 120));
        }
        assert_eq!(ratings.interactions.of(121).0.len(), 1);
        let [years, countries] = ratings.attributes.as_slice() else { panic!("two attributes") };
        assert_eq!((years[0], years[120], years[7], years[122]), (0, 7, UNKNOWN, UNKNOWN));
        assert!(years[..121].iter().filter(|code| **code != UNKNOWN).is_sorted());
        assert_eq!((countries[0], countries[100], countries[3], countries[121]), (8, 8, UNKNOWN, UNKNOWN));
    }
}
