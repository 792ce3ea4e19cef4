//! Reads what the user's own queries name, beside the ratings.

use rusqlite::{Connection, Row};

use crate::catalog::selection::Rows;
use crate::config::{Config, Query};
use crate::database::values;
use crate::error::{Error, Kind, Result};

/// The rows of all queries that are set.
///
/// # Errors
/// [`Kind::Config`] for a query that is no `SELECT` of the right number of columns, or that SQLite refuses.
pub fn read(connection: &Connection, config: &Config) -> Result<Rows> {
    let mut found = Rows::default();
    let unusable = &mut found.unusable;
    if is_set(&config.candidates) {
        let mut isbns = Vec::new();
        each(
            connection,
            &config.candidates,
            "candidates",
            &["isbn"],
            |row| Ok(text(row, 0)?.map(|isbn| isbns.push(isbn))),
            unusable,
        )?;
        found.candidates = Some(isbns);
    }
    for (query, section, pairs) in [
        (&config.exclude, "exclude", &mut found.excluded),
        (&config.dislikes, "dislikes", &mut found.disliked),
    ] {
        if is_set(query) {
            each(
                connection,
                query,
                section,
                &["user", "isbn"],
                |row| {
                    let user = values::reader(row.get_ref(0)?).ok().map(|user| user.to_owned());
                    Ok(user.zip(text(row, 1)?).map(|pair| pairs.push(pair)))
                },
                unusable,
            )?;
        }
    }
    if is_set(&config.categories) {
        let mut named = Vec::new();
        each(
            connection,
            &config.categories,
            "categories",
            &["isbn", "category"],
            |row| Ok(text(row, 0)?.zip(text(row, 1)?).map(|row| named.push(row))),
            unusable,
        )?;
        found.categories = Some(named);
    }
    Ok(found)
}

/// Whether any query is set.
pub fn any(config: &Config) -> bool {
    [&config.candidates, &config.exclude, &config.dislikes, &config.categories].into_iter().any(is_set)
}

fn is_set(query: &Query) -> bool {
    !query.query.trim().is_empty()
}

/// Calls `take` with each row of a query; `None` from it counts as unusable.
fn each(
    connection: &Connection,
    query: &Query,
    section: &str,
    columns: &[&str],
    mut take: impl FnMut(&Row<'_>) -> Result<Option<()>>,
    unusable: &mut u64,
) -> Result<()> {
    let end = |c: char| c == ';' || c.is_whitespace();
    let mut statement = connection.prepare(query.query.trim_end_matches(end)).map_err(|error| {
        let error = Error::from(error).while_doing(&format!("the query in [{section}] does not work"));
        match error.kind() {
            Kind::Failed => Error::new(Kind::Config, error.to_string()),
            _ => error,
        }
    })?;
    if !statement.readonly() || statement.column_count() != columns.len() {
        return Err(Error::new(
            Kind::Config,
            format!("the query in [{section}] is not a SELECT of {}", columns.join(" and ")),
        )
        .hint(format!("it should give {}, in this order", columns.join(", "))));
    }
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if take(row)?.is_none() {
            *unusable += 1;
        }
    }
    Ok(())
}

fn text(row: &Row<'_>, column: usize) -> Result<Option<String>> {
    Ok(values::text(row.get_ref(column)?)
        .filter(|text| !text.trim().is_empty())
        .map(|text| text.into_owned()))
}
