//! `nightshelf explain`: shows how much each of a reader's own books adds to the score of another.

use serde_json::json;

use super::Outcome;
use crate::cli::Pair;
use crate::config::{Objective, Solver};
use crate::context::Context;
use crate::error::Result;
use crate::model::attribution::Attribution;
use crate::query::{KnownReader, Lookup, id_json};
use crate::text::plain;

/// How many own books are shown one by one.
const SHOWN: usize = 10;

/// Shows the terms of a score. They add up to it if lists are ordered by the ranking model and that was
/// solved in closed form (`als`).
///
/// # Errors
/// [`crate::error::Kind::NoInput`] if the reader or the book is unknown; the hint names similar ones.
pub fn explain(context: Context<'_>, args: &Pair) -> Result<Outcome> {
    let (console, (user, isbn)) = (context.console, args.words());
    let lookup = &Lookup::open(context, &args.target.db)?;
    let model = lookup.model()?;
    let item = lookup.book(&model.books, isbn)?;
    let Some(reader) = KnownReader::find(lookup, model, user)? else {
        return Err(lookup.unknown_reader(user)?);
    };
    let titles = &lookup.titles;
    let spelling = |item: u32| reader.books.items.spelling(item as usize);
    let fitted = reader.fitted();
    // If lists are ordered by stars, the terms explain what is above the mean and the biases.
    let (attribution, times, base) = match (reader.config.model.objective, fitted.rating) {
        (Objective::Rating, Some(model)) => {
            let taste = model.factors.score(0, item as usize);
            (
                Attribution::stars(model, fitted.rated, reader.config.parameters())?,
                1.0,
                reader.score(item) - taste,
            )
        }
        _ => {
            let scale = fitted.item_scales[item as usize];
            (Attribution::ranking(fitted.ranking, fitted.weighted, reader.config.parameters())?, scale, 0.0)
        }
    };
    let terms = attribution.contributions(0, item).into_iter().map(|term| term * times);
    let mut terms: Vec<(u32, f32)> = attribution.items(0).iter().copied().zip(terms).collect();
    terms.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let (score, sum) = (reader.score(item), base + terms.iter().map(|(_, term)| term).sum::<f32>());

    let stars = |item: u32| reader.own(item).filter(|stars| !stars.is_nan());
    // Shares of a score below zero mean nothing.
    let share = |term: f32| if sum > 0.0 { format!("{:.0}%", term / sum * 100.0) } else { String::new() };
    let row = |(own, term): &(u32, f32)| {
        let stars = stars(*own).map_or(String::new(), |stars| stars.to_string());
        vec![titles.of(spelling(*own)), stars, format!("{term:+.4}"), share(*term)]
    };
    let mut rows: Vec<Vec<String>> = terms.iter().take(SHOWN).map(row).collect();
    let mut more =
        |what: String, term: f32| rows.push(vec![what, String::new(), format!("{term:+.4}"), share(term)]);
    if terms.len() > SHOWN {
        let rest: f32 = terms[SHOWN..].iter().map(|(_, term)| term).sum();
        more(format!("{} other books", terms.len() - SHOWN), rest);
    }
    if base != 0.0 {
        more("mean stars, and those of this reader and of this book".to_owned(), base);
    }
    more("together".to_owned(), sum);
    let mut notes = Vec::new();
    if reader.config.model.solver != Solver::Als {
        notes.push(format!(
            "(the score itself is {score:.4}: the {:?} solver comes near the sum, and does not meet it)",
            reader.config.model.solver
        ));
    }
    if reader.own(item).is_some() {
        notes.push("(the reader has read this book already: it would not be recommended)".to_owned());
    } else if reader.has(item) {
        notes.push("(the reader has read another edition: this one would not be recommended)".to_owned());
    }
    notes.extend(reader.changed());
    if !reader.unseen.is_empty() {
        let unseen: Vec<String> = reader.unseen.iter().take(3).map(|isbn| titles.of(isbn)).collect();
        notes.push(format!(
            "({} own books came after the model and say nothing yet, such as {})",
            reader.unseen.len(),
            unseen.join("; ")
        ));
    }
    let head = format!(
        "What carries {} for reader {}: score {score:.4}",
        titles.of(spelling(item)),
        plain(&reader.id.borrow().to_string()),
    );
    let table = console.table(&["own book", "stars", "adds", "share"], rows, &[1, 2, 3]);
    let text = [console.heading(&head), table].into_iter().chain(notes).collect::<Vec<_>>().join("\n");
    let term = |(own, term): &(u32, f32)| {
        let isbn = spelling(*own);
        json!({
            "isbn": isbn,
            "title": titles.title(isbn),
            "rated": stars(*own),
            "adds": term,
        })
    };
    let json = json!({
        "user_id": id_json(reader.id.borrow()),
        "isbn": spelling(item),
        "title": titles.title(spelling(item)),
        "score": score,
        "base": base,
        "sum": sum,
        "terms": terms.iter().map(term).collect::<Vec<_>>(),
        "unseen": reader.unseen,
        "ratings_changed": !reader.trained,
    });
    Ok(Outcome { text, json, failure: None })
}
