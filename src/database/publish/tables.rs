//! The tables beside the readers' lists: what is popular, of all and of each category, and what is like each book.

use rusqlite::{Connection, params};

use crate::catalog::ids::Items;
use crate::database::publish::Labels;
use crate::database::publish::slots::{POPULAR, POPULAR_BY, SIMILAR};
use crate::database::quote;
use crate::error::Result;
use crate::model::top_k::Scored;

/// The lists that are published with those of the readers. All by codes, best first.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    pub popular: Vec<Scored>,
    pub popular_by: Vec<(String, Vec<Scored>)>,
    pub similar: Vec<(u32, Vec<Scored>)>,
}

/// A row: whose list it is of, its rank, the book and its score.
type Row<'a> = (&'a str, i64, Scored);

/// The rows of one table, in the order of its primary key.
pub(super) struct Rows<'a> {
    pub(super) table: &'static str,
    pub(super) rows: Vec<Row<'a>>,
}

impl Beside {
    pub(super) fn tables<'a>(&'a self, items: &'a Items) -> [Rows<'a>; 3] {
        let ranked =
            |of: &'a str, list: &'a [Scored]| (1..).zip(list).map(move |(rank, entry)| (of, rank, *entry));
        let mut by: Vec<(&str, &[Scored])> =
            self.popular_by.iter().map(|(category, list)| (category.as_str(), list.as_slice())).collect();
        by.sort_unstable_by_key(|(category, _)| *category);
        let mut like: Vec<(&str, &[Scored])> = self
            .similar
            .iter()
            .map(|(item, list)| (items.spelling(*item as usize), list.as_slice()))
            .collect();
        like.sort_unstable_by_key(|(isbn, _)| *isbn);
        let all = |lists: Vec<(&'a str, &'a [Scored])>| {
            lists.into_iter().flat_map(|(of, list)| ranked(of, list)).collect()
        };
        [
            Rows { table: POPULAR.name, rows: ranked("", &self.popular).collect() },
            Rows { table: POPULAR_BY.name, rows: all(by) },
            Rows { table: SIMILAR.name, rows: all(like) },
        ]
    }
}

impl Rows<'_> {
    /// Writes some of the rows into a table of this shape.
    pub(super) fn insert(
        &self,
        connection: &Connection,
        table: &str,
        labels: Labels<'_>,
        rows: &[Row<'_>],
    ) -> Result<()> {
        let columns = match self.table {
            name if name == SIMILAR.name => "isbn, rank, similar_isbn, similar_isbn13, score, run_id",
            name if name == POPULAR_BY.name => "category, rank, isbn, isbn13, score, run_id",
            _ => "rank, isbn, isbn13, score, run_id",
        };
        let is_of_all = self.table == POPULAR.name;
        let values = if is_of_all { "?2, ?3, ?4, ?5, ?6" } else { "?1, ?2, ?3, ?4, ?5, ?6" };
        let sql = format!("INSERT INTO {} ({columns}) VALUES ({values})", quote(table));
        let mut statement = connection.prepare_cached(&sql)?;
        for (of, rank, entry) in rows {
            let (isbn, isbn13) = labels.book(entry.item);
            let of = (!is_of_all).then_some(of);
            statement.execute(params![of, rank, isbn, isbn13, f64::from(entry.score), labels.run_id])?;
        }
        Ok(())
    }
}
