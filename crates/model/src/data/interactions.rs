//! Who rated what, in integer codes: the form that all arithmetic works on.

use xxhash_rust::xxh3::Xxh3;

/// One rating for each observed (user, item) pair, sorted by user and then by item.
///
/// This is a sparse matrix of users × items in compressed rows (CSR).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interactions {
    /// Where each user's entries begin, and one past the last: `users + 1` numbers.
    pub offsets: Vec<usize>,
    /// The item code of each entry, rising within a user.
    pub items: Vec<u32>,
    /// The rating of each entry; NaN where the item was read but not rated.
    pub ratings: Vec<f32>,
    /// How many items there are, rated or not.
    pub item_count: usize,
}

impl Interactions {
    /// Builds rows from triples (user, item, rating) in any order; of several for one pair the last stays.
    ///
    /// Also returns, for each entry, the place of its triple in `triples`.
    pub fn from_triples(
        user_count: usize,
        item_count: usize,
        triples: &[(u32, u32, f32)],
    ) -> (Self, Vec<u32>) {
        let mut ends = vec![0; user_count + 1];
        for (user, _, _) in triples {
            ends[*user as usize + 1] += 1;
        }
        for user in 0..user_count {
            ends[user + 1] += ends[user];
        }
        // The triples go to their users in the order in which they come.
        let mut next = ends.clone();
        let mut pairs = vec![(0, 0); triples.len()];
        for (at, (user, item, _)) in triples.iter().enumerate() {
            let place = &mut next[*user as usize];
            pairs[*place] = (*item, at as u32);
            *place += 1;
        }
        let mut places = Vec::with_capacity(triples.len());
        let mut rows = Self { offsets: vec![0], item_count, ..Self::default() };
        rows.items.reserve(triples.len());
        rows.ratings.reserve(triples.len());
        for user in 0..user_count {
            let own = &mut pairs[ends[user]..ends[user + 1]];
            // A stable sort: equal items keep their order, and the last of them is the newest.
            own.sort_by_key(|(item, _)| *item);
            for (place, (item, at)) in own.iter().enumerate() {
                if own.get(place + 1).is_none_or(|(after, _)| after != item) {
                    rows.items.push(*item);
                    rows.ratings.push(triples[*at as usize].2);
                    places.push(*at);
                }
            }
            rows.offsets.push(rows.len());
        }
        (rows, places)
    }

    pub fn user_count(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items and ratings of one user.
    pub fn of(&self, user: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[user]..self.offsets[user + 1];
        (&self.items[range.clone()], &self.ratings[range])
    }

    /// The same entries by item: users and items change places.
    pub fn transposed(&self) -> Self {
        let mut offsets = vec![0; self.item_count + 1];
        for item in &self.items {
            offsets[*item as usize + 1] += 1;
        }
        for item in 0..self.item_count {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut users = vec![0; self.len()];
        let mut ratings = vec![0.0; self.len()];
        for user in 0..self.user_count() {
            let (items, given) = self.of(user);
            for (item, rating) in items.iter().zip(given) {
                let place = &mut next[*item as usize];
                users[*place] = user as u32;
                ratings[*place] = *rating;
                *place += 1;
            }
        }
        Self { offsets, items: users, ratings, item_count: self.user_count() }
    }

    /// The entries of some users, who become users 0, 1, 2 and so on.
    pub fn select(&self, users: &[u32]) -> Self {
        let mut chosen = Self { offsets: vec![0], item_count: self.item_count, ..Self::default() };
        for user in users {
            let (items, ratings) = self.of(*user as usize);
            chosen.items.extend_from_slice(items);
            chosen.ratings.extend_from_slice(ratings);
            chosen.offsets.push(chosen.len());
        }
        chosen
    }

    /// Only the entries for which `keep` is true, given their place.
    pub fn filter_places(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self { offsets: vec![0], item_count: self.item_count, ..Self::default() };
        for own in self.offsets.windows(2) {
            for at in (own[0]..own[1]).filter(|at| keep(*at)) {
                kept.items.push(self.items[at]);
                kept.ratings.push(self.ratings[at]);
            }
            kept.offsets.push(kept.len());
        }
        kept
    }

    /// Only the entries with a rating.
    pub fn rated(&self) -> Self {
        self.filter_places(|at| !self.ratings[at].is_nan())
    }

    /// The number of entries with a rating, and the standard deviation of their ratings.
    pub fn stars(&self) -> (usize, f64) {
        let rated = || self.ratings.iter().filter(|rating| !rating.is_nan()).map(|r| f64::from(*r));
        let count = rated().count();
        let mean = rated().sum::<f64>() / count.max(1) as f64;
        let variance = rated().map(|rating| (rating - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        (count, variance.sqrt())
    }

    pub fn items_per_user(&self) -> Vec<u32> {
        self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect()
    }

    pub fn users_per_item(&self) -> Vec<u32> {
        let mut readers = vec![0; self.item_count];
        for item in &self.items {
            readers[*item as usize] += 1;
        }
        readers
    }

    /// The items of a user; none for one past the last.
    pub fn items_of(&self, user: usize) -> &[u32] {
        if user < self.user_count() { self.of(user).0 } else { &[] }
    }

    /// XXH3 (64 bits) of all entries: changes when any entry does.
    pub fn digest(&self) -> u64 {
        let mut hash = Xxh3::new();
        for offset in &self.offsets {
            hash.update(&(*offset as u64).to_le_bytes());
        }
        for (item, rating) in self.items.iter().zip(&self.ratings) {
            hash.update(&item.to_le_bytes());
            hash.update(&rating.to_bits().to_le_bytes());
        }
        hash.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turning_twice_gives_the_same_rows(
            triples in prop::collection::vec((0u32..7, 0u32..9, 1f32..10.0), 0..60)
        ) {
            let (rows, places) = Interactions::from_triples(7, 9, &triples);
            prop_assert_eq!(rows.len(), places.len());
            for (item, place) in rows.items.iter().zip(places) {
                prop_assert_eq!(triples[place as usize].1, *item);
            }
            prop_assert_eq!(rows.transposed().transposed(), rows);
        }

        #[test]
        fn the_last_of_several_ratings_stays(
            triples in prop::collection::vec((0u32..3, 0u32..3, 1f32..10.0), 1..40)
        ) {
            let (rows, _) = Interactions::from_triples(3, 3, &triples);
            for user in 0..3u32 {
                let (items, ratings) = rows.of(user as usize);
                prop_assert!(items.is_sorted());
                for (item, rating) in items.iter().zip(ratings) {
                    let last = triples.iter().rev().find(|t| (t.0, t.1) == (user, *item));
                    prop_assert_eq!(last.map(|t| t.2), Some(*rating));
                }
            }
        }
    }

    #[test]
    fn rows_without_a_rating_are_told_apart() {
        let triples = vec![(0, 0, f32::NAN), (0, 1, 5.0), (1, 1, f32::NAN)];
        let (rows, _) = Interactions::from_triples(2, 2, &triples);
        let rated = rows.rated();
        assert_eq!(rated.offsets, [0, 1, 1]);
        assert_eq!(rated.items, [1]);
        assert_eq!(rows.users_per_item(), [1, 2]);
    }
}
