//! What is exported, as tables.

use polars::prelude::*;

use crate::catalog::vocabulary::{UserId, UserRef};
use crate::console::{Console, plain};
use crate::error::Result;
use crate::jobs::answers::{Desk, Reader, nothing_published};
use crate::jobs::keep::Model;
use crate::report::plots;
use crate::store::lists::{self, Listed};
use crate::store::runs;

/// The column of ids: integers where all are, else texts.
fn ids<'a>(ids: impl Iterator<Item = UserRef<'a>> + Clone) -> Column {
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

/// The rows of a table of factors, as lists.
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
pub fn recommendations(desk: &Desk<'_>) -> Result<DataFrame> {
    if runs::current(&desk.database)?.is_none() {
        return Err(nothing_published());
    }
    let (mut users, mut rows): (Vec<UserId>, Vec<Listed>) = (Vec::new(), Vec::new());
    lists::each(&desk.database, |user, row| {
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
        column("title", &|row| desk.titles.title(&row.isbn)),
        Column::new("score".into(), rows.iter().map(|row| row.score).collect::<Vec<_>>()),
        Column::new("predicted_rating".into(), rows.iter().map(|row| row.stars).collect::<Vec<_>>()),
        column("source", &|row| Some(row.source.clone())),
        column("because", &|row| row.because.clone()),
        Column::new("run_id".into(), rows.iter().map(|row| row.run_id).collect::<Vec<_>>()),
    ])?)
}

/// The readers of the model.
pub fn readers(model: Model) -> Result<DataFrame> {
    let users = &model.readers.users;
    Ok(DataFrame::new_infer_height(vec![
        ids((0..users.len()).map(|code| users.get(code))),
        Column::new("ratings".into(), &model.readers.ratings),
        factors(&model.ranking.users, model.ranking.width),
    ])?)
}

/// The books of the model.
pub fn books(desk: &Desk<'_>, model: Model) -> Result<DataFrame> {
    let (items, titles) = (&model.books.items, &desk.titles);
    let column = |name: &str, of: &dyn Fn(usize) -> Option<String>| {
        Column::new(name.into(), (0..items.len()).map(of).collect::<Vec<_>>())
    };
    Ok(DataFrame::new_infer_height(vec![
        column("isbn", &|item| Some(items.spelling(item).to_owned())),
        column("isbn13", &|item| items.isbn13(item).map(str::to_owned)),
        column("title", &|item| titles.title(items.spelling(item))),
        Column::new("readers".into(), &model.books.popularity.readers),
        Column::new("lift".into(), &model.books.lifts),
        factors(&model.ranking.items, model.ranking.width),
    ])?)
}

/// What the model expects of some readers and some books.
#[derive(Debug)]
pub struct Matrix {
    /// Who.
    pub users: Vec<UserId>,
    /// Spellings, and what to call the book.
    books: Vec<(String, String)>,
    /// Score, stars, and whether it was read, by reader and book.
    cells: Vec<(f32, Option<f32>, bool)>,
}

/// Works out the whole matrix of the readers and books that some words mean.
pub fn predictions(desk: &Desk<'_>, users: &[String], isbns: &[String]) -> Result<Matrix> {
    let model = desk.model()?;
    let items: Vec<u32> = isbns.iter().map(|isbn| desk.book(&model.books, isbn)).collect::<Result<_>>()?;
    let spelling = |item: &u32| model.books.items.spelling(*item as usize).to_owned();
    let books = items.iter().map(spelling).map(|isbn| (isbn.clone(), desk.titles.of(&isbn))).collect();
    let mut matrix = Matrix { users: Vec::new(), books, cells: Vec::new() };
    for word in users {
        let Some(reader) = Reader::find(desk, model.clone(), word)? else {
            return Err(desk.unknown_reader(word)?);
        };
        matrix.users.push(reader.id.clone());
        let cell = |item: &u32| (reader.score(*item), reader.stars(*item), reader.own(*item).is_some());
        matrix.cells.extend(items.iter().map(cell));
    }
    Ok(matrix)
}

impl Matrix {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// A row for each reader and book.
    pub fn frame(&self) -> Result<DataFrame> {
        let pairs = || self.users.iter().flat_map(|user| self.books.iter().map(move |book| (user, book)));
        let texts = |of: &dyn Fn(&(String, String)) -> &String| -> Vec<String> {
            pairs().map(|(_, book)| of(book).clone()).collect()
        };
        Ok(DataFrame::new_infer_height(vec![
            ids(pairs().map(|(user, _)| user.borrow())),
            Column::new("isbn".into(), texts(&|book| &book.0)),
            Column::new("title".into(), texts(&|book| &book.1)),
            Column::new("score".into(), self.cells.iter().map(|cell| cell.0).collect::<Vec<_>>()),
            Column::new("predicted_rating".into(), self.cells.iter().map(|cell| cell.1).collect::<Vec<_>>()),
            Column::new("read".into(), self.cells.iter().map(|cell| cell.2).collect::<Vec<_>>()),
        ])?)
    }

    /// Whether stars are known of all, and not only scores.
    fn has_stars(&self) -> bool {
        self.cells.iter().all(|(_, stars, _)| stars.is_some())
    }

    /// For people: expected stars, or scores where some are not known; what was read is marked.
    pub fn table(&self, console: &Console) -> String {
        let header: Vec<String> = std::iter::once(String::new())
            .chain(self.users.iter().map(|user| plain(&user.borrow().to_string())))
            .collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let row = |place: usize| -> Vec<String> {
            let cell = |user: usize| {
                let (score, stars, read) = self.cells[user * self.books.len() + place];
                let stars = stars.filter(|_| self.has_stars());
                let value = stars.map_or_else(|| format!("{score:.3}"), |stars| format!("{stars:.1}"));
                if read { format!("{value} (read)") } else { value }
            };
            std::iter::once(self.books[place].1.clone()).chain((0..self.users.len()).map(cell)).collect()
        };
        let rows = (0..self.books.len()).map(row).collect();
        console.table(&header, rows, &(1..=self.users.len()).collect::<Vec<_>>())
    }

    /// The same as a picture.
    pub fn heat_map(&self) -> Result<String> {
        let columns: Vec<String> = self.users.iter().map(|user| user.borrow().to_string()).collect();
        let rows: Vec<String> = self.books.iter().map(|(_, title)| title.clone()).collect();
        let value = |place: usize| {
            let (book, user) = (place / columns.len(), place % columns.len());
            let (score, stars, _) = self.cells[user * self.books.len() + book];
            f64::from(stars.filter(|_| self.has_stars()).unwrap_or(score))
        };
        let values: Vec<f64> = (0..self.cells.len()).map(value).collect();
        plots::heat_map(&rows, &columns, &values)
    }
}
