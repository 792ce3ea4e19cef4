//! The tables beside the readers' lists: what is popular, of all and of each category, and what is like each book.

use rusqlite::{Connection, Transaction, params};

use crate::catalog::ids::Items;
use crate::database::batch_size::BatchSize;
use crate::database::publish::Labels;
use crate::database::publish::slots::{POPULAR, POPULAR_BY, Published, SIMILAR};
use crate::database::table::Table;
use crate::database::{Database, quote};
use crate::error::Result;
use crate::failpoint;
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

/// Whether the popular list was replaced since its set was published.
pub(super) fn was_replaced(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM nightshelf_meta WHERE key = 'popular_replaced' \
               AND value = (SELECT max(run_id) FROM recommendations_popular))";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Replaces the popular lists, if asked for, and the lists of some books by those in `beside`: of those that are `gone`
/// none is left. Each list is replaced at once, in short transactions.
pub fn replace(
    database: &mut Database,
    labels: Labels<'_>,
    beside: &Beside,
    gone: &[String],
    with_popular: bool,
) -> Result<()> {
    let [popular, popular_by, similar] = beside.tables(labels.items);
    if with_popular {
        database.write("replacing lists", |transaction| {
            let sql = "INSERT OR REPLACE INTO nightshelf_meta VALUES ('popular_replaced', ?1)";
            Ok(transaction.execute(sql, [labels.run_id.to_string()])?)
        })?;
    }
    for (rows, gone) in [(popular, None), (popular_by, None), (similar, Some(gone))] {
        if gone.is_none() && !with_popular {
            continue;
        }
        let table = match rows.table {
            name if name == SIMILAR.name => SIMILAR,
            name if name == POPULAR_BY.name => POPULAR_BY,
            _ => POPULAR,
        };
        replace_lists(database, labels, table, &rows, gone)?;
    }
    Ok(())
}

/// `gone` are the lists to take away; `None` for all that have no rows.
fn replace_lists(
    database: &mut Database,
    labels: Labels<'_>,
    table: Published,
    rows: &Rows<'_>,
    gone: Option<&[String]>,
) -> Result<()> {
    let looking = "looking at what is popular and similar";
    // A set of an earlier version.
    if database.read(looking, |connection| Ok(Table::find(connection, table.name)?.is_none()))? {
        return Ok(());
    }
    let key = match table.name {
        name if name == SIMILAR.name => "isbn",
        name if name == POPULAR_BY.name => "category",
        _ => "''",
    };
    let mut lists: Vec<(String, &[Row<'_>])> =
        rows.rows.chunk_by(|a, b| a.0 == b.0).map(|list| (list[0].0.to_owned(), list)).collect();
    let taken_away: Vec<String> = match gone {
        Some(gone) => gone.to_vec(),
        None => database.read(looking, |connection| {
            let sql = format!("SELECT DISTINCT {key} FROM {}", quote(table.name));
            Ok(connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })?,
    };
    let kept: std::collections::HashSet<String> = lists.iter().map(|(of, _)| of.clone()).collect();
    lists.extend(taken_away.into_iter().filter(|of| !kept.contains(of)).map(|of| (of, &[][..])));
    let delete = format!("DELETE FROM {} WHERE {key} = ?1", quote(table.name));
    let write = |transaction: &Transaction<'_>, (of, list): &(String, &[Row<'_>])| -> Result<()> {
        transaction.prepare_cached(&delete)?.execute([of])?;
        rows.insert(transaction, table.name, labels, list)
    };
    let (mut rest, mut batch) = (lists.as_slice(), BatchSize::new(1).within(1, 4096).growing(8.0));
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch.rows.min(rest.len()));
        let ((), held) = database.write("replacing lists", |transaction| {
            now.iter().try_for_each(|list| write(transaction, list))
        })?;
        failpoint::reach("backfill.beside");
        batch.adapt(held);
        rest = later;
    }
    Ok(())
}
