//! `nightshelf similar`: shows the books nearest to one in the ranking model.

use serde_json::json;

use super::Outcome;
use crate::cli::Similar;
use crate::context::Context;
use crate::error::Result;
use crate::model::dot;
use crate::model_store::StoredModel;
use crate::query::Lookup;
use crate::text::{count, plain};

/// With this many readers, a book keeps half of its cosine. Without this damping, a book with a single reader
/// would be among the most similar: its factors point where that reader's do.
const SUPPORT: f32 = 10.0;

/// Shows the `top` books most similar to one.
///
/// # Errors
/// [`crate::error::Kind::NoInput`] if the book is unknown; the hint names similar ones.
pub fn similar(context: Context<'_>, args: &Similar) -> Result<Outcome> {
    let Context { config, console, .. } = context;
    let lookup = Lookup::open(context, &args.target.db)?;
    let model = lookup.model()?;
    let item = lookup.book(&model.books, &args.book.isbn)?;
    let (items, readers) = (&model.books.items, &model.books.popularity.traits.readers);
    let near = neighbours(&model, item, config.output.top);
    let titles = &lookup.titles;
    let row = |(place, (other, likeness)): (usize, &(u32, f32))| {
        let isbn = items.spelling(*other as usize);
        let title = titles.title(isbn).unwrap_or_default();
        let readers = count(readers[*other as usize]);
        vec![(place + 1).to_string(), plain(isbn), title, format!("{likeness:.2}"), readers]
    };
    let rows = near.iter().enumerate().map(row).collect();
    let table = console.table(&["", "isbn", "title", "likeness", "readers"], rows, &[0, 3, 4]);
    let spelling = items.spelling(item as usize);
    let known = readers[item as usize];
    let mut text = format!("{}\n{table}", console.heading(&format!("Like {}", titles.of(spelling))));
    if f64::from(known) < f64::from(SUPPORT) / 2.0 {
        text.push_str(&format!("\n(only {known} readers are known of this book: that says little)"));
    }
    let entry = |(other, likeness): &(u32, f32)| {
        let isbn = items.spelling(*other as usize);
        json!({
            "isbn": isbn,
            "isbn13": items.isbn13(*other as usize),
            "title": titles.title(isbn),
            "likeness": likeness,
            "readers": readers[*other as usize],
        })
    };
    let json = json!({
        "isbn": spelling,
        "title": titles.title(spelling),
        "readers": known,
        "similar": near.iter().map(entry).collect::<Vec<_>>(),
    });
    Ok(Outcome { text, json, failure: None })
}

/// The `n` books with the greatest likeness: the cosine with `item`, times r / (r + [`SUPPORT`]) for r
/// readers. Of each other work only one edition is taken.
fn neighbours(model: &StoredModel, item: u32, n: usize) -> Vec<(u32, f32)> {
    let (factors, readers) = (&model.ranking, &model.books.popularity.traits.readers);
    let own = factors.item(item as usize);
    let length = |row: &[f32]| dot(row, row).sqrt();
    let likeness = |other: u32| {
        let row = factors.item(other as usize);
        let cosine = dot(own, row) / (length(own) * length(row)).max(f32::MIN_POSITIVE);
        let support = readers[other as usize] as f32;
        cosine * support / (support + SUPPORT)
    };
    let mut all: Vec<(u32, f32)> = (0..readers.len() as u32).map(|other| (other, likeness(other))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let editions = &model.books.popularity.editions;
    let mut near: Vec<(u32, f32)> = Vec::with_capacity(n);
    for (other, likeness) in all {
        if near.len() == n {
            break;
        }
        let is_shown = near.iter().any(|(shown, _)| editions.are_one(*shown, other));
        if !is_shown && !editions.are_one(item, other) {
            near.push((other, likeness));
        }
    }
    near
}
