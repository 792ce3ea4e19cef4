//! `nightshelf similar`: shows the books most like one, as `recommendations_similar` has them.

use serde_json::json;

use super::Outcome;
use crate::cli::Similar;
use crate::context::Context;
use crate::error::Result;
use crate::model::top_k::Scored;
use crate::query::Lookup;
use crate::recommender::similar::{By, SimilarSearch};
use crate::text::{count, plain};

/// So few readers say little.
const FEW: u32 = 5;

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
    let near = SimilarSearch::of_model(&model, By::Both).of(item, config.output.top);
    let titles = &lookup.titles;
    let row = |(place, Scored { item: other, score: likeness }): (usize, &Scored)| {
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
    if known < FEW {
        text.push_str(&format!("\n(only {known} readers are known of this book: that says little)"));
    }
    let entry = |Scored { item: other, score: likeness }: &Scored| {
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
