//! Vocabularies: the reader or book behind each code, and the code of each id or key.

use std::collections::HashMap;

use polars::prelude::*;

use crate::error::Result;

/// A reader's id, as SQLite stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserRef<'a> {
    Integer(i64),
    Text(&'a str),
}

impl UserRef<'_> {
    pub fn to_owned(self) -> UserId {
        match self {
            UserRef::Integer(id) => UserId::Integer(id),
            UserRef::Text(id) => UserId::Text(id.to_owned()),
        }
    }
}

/// Texts are in quotes: the text `"42"` is not the number 42.
impl std::fmt::Display for UserRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UserRef::Integer(id) => write!(f, "{id}"),
            UserRef::Text(id) => write!(f, "{id:?}"),
        }
    }
}

/// An owned [`UserRef`]; integers before texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserId {
    Integer(i64),
    Text(String),
}

impl UserId {
    pub fn borrow(&self) -> UserRef<'_> {
        match self {
            UserId::Integer(id) => UserRef::Integer(*id),
            UserId::Text(id) => UserRef::Text(id),
        }
    }

    /// The ids that a typed word may mean: an integer if it reads as one, and the text.
    pub fn readings(word: &str) -> Vec<Self> {
        let number = word.parse().ok().map(UserId::Integer);
        number.into_iter().chain([UserId::Text(word.to_owned())]).collect()
    }
}

/// Readers by code: integers first, then texts, each rising, as SQLite orders them.
#[derive(Clone, Debug)]
pub struct Users {
    integers: Int64Chunked,
    texts: StringChunked,
}

impl Users {
    /// Nobody.
    pub fn none() -> Self {
        Self { integers: Int64Chunked::default(), texts: StringChunked::default() }
    }

    /// From a frame with the columns `user_integer` and `user_text`, a row for each code.
    ///
    /// # Errors
    /// If a column is missing or of another type.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Ok(Self {
            integers: frame.column("user_integer")?.i64()?.rechunk().into_owned(),
            texts: frame.column("user_text")?.str()?.rechunk().into_owned(),
        })
    }

    pub fn len(&self) -> usize {
        self.integers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, code: usize) -> UserRef<'_> {
        match self.integers.get(code) {
            Some(id) => UserRef::Integer(id),
            None => UserRef::Text(self.texts.get(code).unwrap_or_default()),
        }
    }

    pub fn codes(&self) -> HashMap<UserRef<'_>, u32> {
        (0..self.len()).map(|code| (self.get(code), code as u32)).collect()
    }

    /// A linear search.
    pub fn find(&self, user: UserRef<'_>) -> Option<u32> {
        (0..self.len()).find(|code| self.get(*code) == user).map(|code| code as u32)
    }

    /// For each reader here, the code in `older`; `None` if the reader is not there.
    pub fn codes_in(&self, older: &Self) -> Vec<Option<u32>> {
        let codes = older.codes();
        (0..self.len()).map(|code| codes.get(&self.get(code)).copied()).collect()
    }

    /// Without one reader; later codes move down by one.
    pub fn without(&self, code: u32) -> Result<Self> {
        let kept: BooleanChunked = (0..self.len()).map(|other| other != code as usize).collect();
        Self::new(self.frame()?.filter(&kept)?)
    }

    /// With other readers, none of whom is here. Also returns the new code of each reader who was here.
    pub fn joined_by(&self, mut others: Vec<UserId>) -> Result<(Self, Vec<u32>)> {
        others.extend((0..self.len()).map(|code| self.get(code).to_owned()));
        others.sort_unstable();
        others.dedup();
        let integer = |id: &UserId| if let UserId::Integer(id) = id { Some(*id) } else { None };
        let text = |id: &UserId| if let UserId::Text(id) = id { Some(id.clone()) } else { None };
        let integers: Vec<Option<i64>> = others.iter().map(integer).collect();
        let texts: Vec<Option<String>> = others.iter().map(text).collect();
        let columns =
            vec![Column::new("user_integer".into(), integers), Column::new("user_text".into(), texts)];
        let joined = Self::new(DataFrame::new_infer_height(columns)?)?;
        let codes = joined.codes();
        let old = (0..self.len()).filter_map(|code| codes.get(&self.get(code)).copied()).collect();
        drop(codes);
        Ok((joined, old))
    }

    /// The columns to write to disk: `user_integer`, `user_text`.
    pub fn frame(&self) -> Result<DataFrame> {
        let columns = vec![self.integers.clone().into_column(), self.texts.clone().into_column()];
        Ok(DataFrame::new_infer_height(columns)?)
    }
}

/// Books by code, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Items {
    keys: StringChunked,
    spellings: StringChunked,
    valid: BooleanChunked,
    rated: BooleanChunked,
}

/// A book that nobody has rated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBook {
    /// See [`Items::key`].
    pub key: String,
    /// As the application's table of books spells it.
    pub spelling: String,
    /// Whether the key is a valid ISBN-13.
    pub is_isbn: bool,
}

impl Items {
    /// From a frame with the columns `key`, `isbn`, `is_isbn` and `is_rated`, a row for each code.
    ///
    /// # Errors
    /// If a column is missing or of another type.
    pub fn new(frame: DataFrame) -> Result<Self> {
        Ok(Self {
            keys: frame.column("key")?.str()?.rechunk().into_owned(),
            spellings: frame.column("isbn")?.str()?.rechunk().into_owned(),
            valid: frame.column("is_isbn")?.bool()?.rechunk().into_owned(),
            rated: frame.column("is_rated")?.bool()?.rechunk().into_owned(),
        })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The book's ISBN-13, or else its spelling, which is folded unless `key = "text"`.
    pub fn key(&self, code: usize) -> &str {
        self.keys.get(code).unwrap_or_default()
    }

    /// The most frequent spelling in the ratings; for a book without ratings, that of the table of books.
    pub fn spelling(&self, code: usize) -> &str {
        self.spellings.get(code).unwrap_or_default()
    }

    /// `None` if the key is no valid ISBN.
    pub fn isbn13(&self, code: usize) -> Option<&str> {
        self.valid.get(code).unwrap_or(false).then(|| self.key(code))
    }

    /// Whether anybody has rated or read it.
    pub fn is_rated(&self, code: usize) -> bool {
        self.rated.get(code).unwrap_or(false)
    }

    pub fn rated_count(&self) -> usize {
        self.rated.sum().unwrap_or_default() as usize
    }

    /// These books and `others` in the order of their keys; then the new codes of these, and of `others`.
    pub fn joined_by(&self, others: &[NewBook]) -> Result<(Self, Vec<u32>, Vec<u32>)> {
        let key = |place: usize| match place.checked_sub(self.len()) {
            None => self.key(place),
            Some(other) => others[other].key.as_str(),
        };
        let mut order: Vec<usize> = (0..self.len() + others.len()).collect();
        order.sort_by(|a, b| key(*a).cmp(key(*b)));
        let mut codes = vec![0; order.len()];
        order.iter().enumerate().for_each(|(code, place)| codes[*place] = code as u32);
        let theirs = codes.split_off(self.len());
        let mut frame = self.frame()?;
        frame.vstack_mut_owned(DataFrame::new_infer_height(vec![
            Column::new("key".into(), others.iter().map(|book| book.key.as_str()).collect::<Vec<_>>()),
            Column::new("isbn".into(), others.iter().map(|book| book.spelling.as_str()).collect::<Vec<_>>()),
            Column::new("is_isbn".into(), others.iter().map(|book| book.is_isbn).collect::<Vec<_>>()),
            Column::new("is_rated".into(), vec![false; others.len()]),
        ])?)?;
        let order: IdxCa =
            IdxCa::from_vec("order".into(), order.iter().map(|place| *place as IdxSize).collect());
        Ok((Self::new(frame.take(&order)?)?, codes, theirs))
    }

    pub fn codes(&self) -> HashMap<&str, u32> {
        (0..self.len()).map(|code| (self.key(code), code as u32)).collect()
    }

    /// A linear search.
    pub fn find(&self, key: &str) -> Option<u32> {
        (0..self.len()).find(|code| self.key(*code) == key).map(|code| code as u32)
    }

    /// For each book here, the code in `older`; `None` if the book is not there.
    pub fn codes_in(&self, older: &Self) -> Vec<Option<u32>> {
        let codes = older.codes();
        (0..self.len()).map(|code| codes.get(self.key(code)).copied()).collect()
    }

    /// The columns to write to disk: `key`, `isbn`, `is_isbn`, `is_rated`.
    pub fn frame(&self) -> Result<DataFrame> {
        let columns = vec![
            self.keys.clone().into_column(),
            self.spellings.clone().into_column(),
            self.valid.clone().into_column(),
            self.rated.clone().into_column(),
        ];
        Ok(DataFrame::new_infer_height(columns)?)
    }
}
