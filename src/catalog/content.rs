//! What books are about: the words of titles, and labels of subjects, weighed by how rare they are.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::data::Interactions;

/// A word that more than this share of the books has says nothing.
const MOST_SHARE: f64 = 0.2;

/// The words of a description that count, at most: the first ones say what a book is about.
const MOST_WORDS: usize = 200;

/// Which words books have.
#[derive(Debug, Default)]
pub struct Words {
    /// Book and digest of a word.
    entries: Vec<(u32, u64)>,
}

impl Words {
    pub fn add(&mut self, item: u32, words: &[u64]) {
        self.entries.extend(words.iter().map(|word| (item, *word)));
    }

    /// For each of `items` books its words, with TF-IDF weights whose squares add up to 1 (Salton, Buckley 1988): a word
    /// weighs log(books / books with it). Words of one book alone are left out. Codes of words depend only on the words.
    pub fn finish(mut self, items: usize) -> Interactions {
        self.entries.sort_unstable();
        self.entries.dedup();
        let books = self.entries.chunk_by(|a, b| a.0 == b.0).count() as f64;
        let mut counts: HashMap<u64, u32> = HashMap::new();
        self.entries.iter().for_each(|(_, word)| *counts.entry(*word).or_default() += 1);
        let most = (books * MOST_SHARE).max(2.0);
        counts.retain(|_, count| *count > 1 && f64::from(*count) <= most);
        let mut known: Vec<u64> = counts.keys().copied().collect();
        known.sort_unstable();
        let mut rows = Interactions { offsets: vec![0], item_count: known.len(), ..Interactions::default() };
        let mut entries = self.entries.as_slice();
        for item in 0..items as u32 {
            let (own, rest) = entries.split_at(entries.partition_point(|(other, _)| *other <= item));
            entries = rest;
            let from = rows.items.len();
            for (_, word) in own {
                if let Ok(code) = known.binary_search(word) {
                    rows.items.push(code as u32);
                    rows.ratings.push((books / f64::from(counts[word])).ln() as f32);
                }
            }
            let length = rows.ratings[from..].iter().map(|weight| weight * weight).sum::<f32>().sqrt();
            rows.ratings[from..].iter_mut().for_each(|weight| *weight /= length);
            rows.offsets.push(rows.items.len());
        }
        rows
    }
}

/// Digests of the words of a text, in lower case and without accents.
pub fn words(text: &str) -> Vec<u64> {
    let plain: String = text.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).collect();
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 1);
    words.take(MOST_WORDS).map(|word| xxh3_64(word.to_lowercase().as_bytes())).collect()
}

/// Digests of the labels in a field such as `Fantasy, Young Adult; Fiction > Science Fiction` or `["Fantasy"]`.
pub fn labels(field: &str) -> Vec<u64> {
    let label = |part: &str| -> String {
        part.nfkd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    // No word of a description is the same as a label.
    parts(field)
        .map(label)
        .filter(|label| !label.is_empty())
        .map(|label| xxh3_64(format!("label {label}").as_bytes()))
        .collect()
}

/// The labels as they are written.
pub fn parts(field: &str) -> impl Iterator<Item = &str> {
    let parts = field.split([',', ';', '|', '/', '>', '[', ']']);
    parts
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .filter(|part| part.contains(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of books with these texts.
    fn rows(texts: &[&str], parts: fn(&str) -> Vec<u64>) -> Interactions {
        let mut found = Words::default();
        texts.iter().zip(0..).for_each(|(text, item)| found.add(item, &parts(text)));
        found.finish(texts.len())
    }

    #[test]
    fn words_of_one_book_and_of_very_many_say_nothing() {
        let mut texts = vec!["beta"; 30];
        (texts[0], texts[1]) = ("Nebula Álpha only", "alpha NEBULA");
        texts[2..7].fill("alpha beta");
        let rows = rows(&texts, words);
        assert_eq!(rows.item_count, 1, "alpha and beta are too frequent");
        assert_eq!((rows.of(0), rows.of(0).1), (rows.of(1), &[1.0][..]));
        assert!((2..30).all(|item| rows.of(item).0.is_empty()));
    }

    #[test]
    fn rare_labels_weigh_more() {
        let mut texts = vec!["other"; 100];
        texts[..4].fill("Rare | common");
        texts[4..12].fill("COMMON");
        let rows = rows(&texts, labels);
        let (codes, weights) = rows.of(0);
        let common = codes.iter().position(|code| *code == rows.of(5).0[0]).expect("a common label");
        assert!(weights[1 - common] > weights[common] && weights[common] > 0.0);
        assert!((weights.iter().map(|weight| weight * weight).sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(labels("Fantasy, Young Adult; Fiction > Science fiction").len(), 4);
        assert_eq!(labels("[\"Fantasy\"]"), labels("fantasy"));
        assert!(labels(" ; ").is_empty());
    }
}
