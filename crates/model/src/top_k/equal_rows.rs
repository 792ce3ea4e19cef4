//! Finds rows that are equal, number for number, so that work is done once for all of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::Factors;
use crate::data::Interactions;

/// Groups of users with equal factors and equal items, who therefore have the same list.
#[derive(Debug)]
pub struct EqualRows {
    /// One user of each group.
    pub firsts: Vec<u32>,
    /// For each user the place of the group in `firsts`, and whether the user is the last of the group.
    pub of: Vec<(u32, bool)>,
}

/// Groups `users`. Many readers have read only one book, and it is the same for many of them.
pub fn equal_rows(factors: &Factors, seen: &Interactions, users: &[u32]) -> EqualRows {
    let marks: Vec<u64> = users
        .par_iter()
        .map(|user| {
            let user = *user as usize;
            seen.of(user).0.iter().fold(digest(factors.user(user)), |mark, item| {
                (mark ^ u64::from(*item)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
            })
        })
        .collect();
    let same = |a: u32, b: u32| {
        let (a, b) = (a as usize, b as usize);
        factors.user(a) == factors.user(b) && seen.of(a).0 == seen.of(b).0
    };
    let mut by_mark: HashMap<u64, (u32, usize)> = HashMap::with_capacity(marks.len());
    let mut equal = EqualRows { firsts: Vec::new(), of: Vec::with_capacity(marks.len()) };
    for (at, (mark, user)) in marks.into_iter().zip(users).enumerate() {
        let (place, user) = (equal.firsts.len() as u32, *user);
        match by_mark.entry(mark) {
            Entry::Occupied(mut entry) if same(equal.firsts[entry.get().0 as usize], user) => {
                let (place, last) = entry.get_mut();
                equal.of[*last].1 = false;
                *last = at;
                equal.of.push((*place, true));
            }
            Entry::Occupied(_) => {
                equal.firsts.push(user);
                equal.of.push((place, true));
            }
            Entry::Vacant(entry) => {
                entry.insert((place, at));
                equal.firsts.push(user);
                equal.of.push((place, true));
            }
        }
    }
    equal
}

pub fn digest(row: &[f32]) -> u64 {
    xxh3_64(pulp::bytemuck::cast_slice(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_differs_in_anything_is_no_equal() {
        let users = vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.5, 1.0, 2.0, 1.0, 2.0];
        let factors = Factors { width: 2, users, items: vec![0.0; 8] };
        // 0, 3 and 4 have read the same; 1 has read something else; 2 has other factors.
        let triples = [(0, 3, 1.0), (1, 2, 1.0), (2, 3, 1.0), (3, 3, 1.0), (4, 3, 1.0)];
        let (seen, _) = Interactions::from_triples(5, 4, &triples);
        let EqualRows { firsts, of } = equal_rows(&factors, &seen, &[0, 1, 2, 3, 4]);
        assert_eq!(firsts, [0, 1, 2]);
        assert_eq!(of, [(0, false), (1, true), (2, true), (0, false), (0, true)]);
        let EqualRows { firsts, of } = equal_rows(&factors, &seen, &[3, 4]);
        assert_eq!((firsts, of), (vec![3], vec![(0, false), (0, true)]));
    }
}
