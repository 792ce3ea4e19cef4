//! A matrix of predictions, of some readers by some books.

use polars::prelude::*;

use super::frames::ids;
use crate::catalog::ids::UserId;
use crate::console::Console;
use crate::error::Result;
use crate::query::{KnownReader, Lookup};
use crate::report::plots;
use crate::text::plain;

#[derive(Debug)]
pub struct Matrix {
    pub users: Vec<UserId>,
    /// Spelling and title of each book.
    books: Vec<(String, String)>,
    /// Score, stars, and whether the book was read: first all books of the first reader.
    cells: Vec<(f32, Option<f32>, bool)>,
}

/// The matrix of the readers and books that these words mean.
pub fn predictions(lookup: &Lookup<'_>, users: &[String], isbns: &[String]) -> Result<Matrix> {
    let model = lookup.model()?;
    let items: Vec<u32> = isbns.iter().map(|isbn| lookup.book(&model.books, isbn)).collect::<Result<_>>()?;
    let spelling = |item: &u32| model.books.items.spelling(*item as usize).to_owned();
    let books = items.iter().map(spelling).map(|isbn| (isbn.clone(), lookup.titles.of(&isbn))).collect();
    let mut matrix = Matrix { users: Vec::new(), books, cells: Vec::new() };
    for word in users {
        let Some(reader) = KnownReader::find(lookup, model.clone(), word)? else {
            return Err(lookup.unknown_reader(word)?);
        };
        matrix.users.push(reader.id.clone());
        let scores = reader.scores(&items, lookup.context.interrupt)?;
        let cell = |(item, score): (&u32, f32)| (score, reader.stars(*item), reader.own(*item).is_some());
        matrix.cells.extend(items.iter().zip(scores).map(cell));
    }
    Ok(matrix)
}

impl Matrix {
    /// The number of pairs.
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

    /// Whether all pairs have predicted stars.
    fn has_stars(&self) -> bool {
        self.cells.iter().all(|(_, stars, _)| stars.is_some())
    }

    /// For people: predicted stars, or scores if some pairs have no stars; read books are marked.
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

    /// The same values as an SVG.
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
