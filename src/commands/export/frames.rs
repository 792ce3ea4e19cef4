//! The exported tables, as data frames.

use polars::prelude::*;

use crate::catalog::ids::{UserId, UserRef};
use crate::database::lists::{self, Listed};
use crate::database::runs;
use crate::error::Result;
use crate::model_store::StoredModel;
use crate::query::{Lookup, nothing_published};

/// The column of ids: integers if all are, else texts.
pub(super) fn ids<'a>(ids: impl Iterator<Item = UserRef<'a>> + Clone) -> Column {
    let integers = ids.clone().map(|id| match id {
        UserRef::Integer(id) => Some(id),
        UserRef::Text(_) => None,
    });
    match integers.collect::<Option<Vec<i64>>>() {
        Some(integers) => Column::new("user_id".into(), integers),
        None => {
            let text = |id| match id {
                UserRef::Integer(id) => id.to_string(),
                UserRef::Text(id) => id.to_owned(),
            };
            Column::new("user_id".into(), ids.map(text).collect::<Vec<_>>())
        }
    }
}

/// The column of factors: a list of `width` numbers in each row.
fn factors(rows: &[f32], width: usize) -> Column {
    let count = rows.len() / width.max(1);
    let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(
        "factors".into(),
        count,
        rows.len(),
        DataType::Float32,
    );
    rows.chunks_exact(width.max(1)).for_each(|row| builder.append_slice(row));
    builder.finish().into_column()
}

/// The published lists, a row for each entry.
pub fn recommendations(lookup: &Lookup<'_>) -> Result<DataFrame> {
    if runs::current(&lookup.database)?.is_none() {
        return Err(nothing_published());
    }
    let (mut users, mut rows): (Vec<UserId>, Vec<Listed>) = (Vec::new(), Vec::new());
    lists::each(&lookup.database, |user, row| {
        users.push(user.to_owned());
        rows.push(row);
    })?;
    let column = |name: &str, of: &dyn Fn(&Listed) -> Option<String>| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>())
    };
    Ok(DataFrame::new_infer_height(vec![
        ids(users.iter().map(UserId::borrow)),
        Column::new("rank".into(), rows.iter().map(|row| row.rank).collect::<Vec<_>>()),
        column("isbn", &|row| Some(row.isbn.clone())),
        column("isbn13", &|row| row.isbn13.clone()),
        column("title", &|row| lookup.titles.title(&row.isbn)),
        Column::new("score".into(), rows.iter().map(|row| row.score).collect::<Vec<_>>()),
        Column::new("predicted_rating".into(), rows.iter().map(|row| row.stars).collect::<Vec<_>>()),
        column("source", &|row| Some(row.source.clone())),
        column("because", &|row| row.because.clone()),
        Column::new("run_id".into(), rows.iter().map(|row| row.run_id).collect::<Vec<_>>()),
    ])?)
}

pub fn readers(model: StoredModel) -> Result<DataFrame> {
    let users = &model.readers.users;
    Ok(DataFrame::new_infer_height(vec![
        ids((0..users.len()).map(|code| users.get(code))),
        Column::new("ratings".into(), &model.readers.ratings),
        factors(&model.ranking.users, model.ranking.width),
    ])?)
}

pub fn books(lookup: &Lookup<'_>, model: StoredModel) -> Result<DataFrame> {
    let (items, titles) = (&model.books.items, &lookup.titles);
    let column = |name: &str, of: &dyn Fn(usize) -> Option<String>| {
        Column::new(name.into(), (0..items.len()).map(of).collect::<Vec<_>>())
    };
    Ok(DataFrame::new_infer_height(vec![
        column("isbn", &|item| Some(items.spelling(item).to_owned())),
        column("isbn13", &|item| items.isbn13(item).map(str::to_owned)),
        column("title", &|item| titles.title(items.spelling(item))),
        Column::new("readers".into(), &model.books.popularity.traits.readers),
        Column::new("lift".into(), &model.books.item_scales),
        factors(&model.ranking.items, model.ranking.width),
    ])?)
}
