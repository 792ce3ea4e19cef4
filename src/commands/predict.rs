//! `nightshelf predict`: shows what the model predicts for a reader and a book.

use serde_json::json;

use super::Outcome;
use crate::catalog::keys;
use crate::cli::Pair;
use crate::context::Context;
use crate::database::lists;
use crate::error::Result;
use crate::query::{KnownReader, Lookup, id_json};
use crate::text::{count, plain};

/// Shows the score, the place among the reader's candidates (without a ranker, all unread books), and the predicted stars with their parts.
///
/// # Errors
/// [`crate::error::Kind::NoInput`] if the reader or the book is unknown; the hint names similar ones.
pub fn predict(context: Context<'_>, args: &Pair) -> Result<Outcome> {
    let (Context { config, console, .. }, (user, isbn)) = (context, args.words());
    let lookup = &Lookup::open(context, &args.target.db)?;
    let model = lookup.model()?;
    let item = lookup.book(&model.books, isbn)?;
    let Some(reader) = KnownReader::find(lookup, model, user)? else {
        return Err(lookup.unknown_reader(user)?);
    };
    let items = &reader.books.items;
    let spelling = items.spelling(item as usize);
    let (stars, own) = (reader.stars(item), reader.own(item));
    let (score, place, all) = match reader.judged(item, context.interrupt)? {
        Some(judged) => (judged.score, judged.place, judged.candidates),
        None => {
            let score = reader.score(item);
            let unread = (0..items.len() as u32).filter(|other| !reader.has(*other));
            let (all, ahead) = unread.fold((0u32, 0u32), |(all, ahead), other| {
                (all + 1, ahead + u32::from(other != item && reader.score(other) > score))
            });
            (score, ahead + 1, all)
        }
    };
    let listed = lists::of(&lookup.database, reader.id.borrow())?;
    let listed =
        listed.iter().find(|row| keys::key(&row.isbn, config).as_deref() == Some(items.key(item as usize)));

    let fitted = reader.fitted();
    let parts = fitted.rating.filter(|_| stars.is_some()).map(|model| {
        [
            ("mean", model.mean),
            ("reader", model.biases.users[0]),
            ("book", model.biases.items[item as usize]),
            ("taste", model.factors.score(0, item as usize)),
        ]
    });
    let mut lines = vec![match own {
        Some(stars) if stars.is_nan() => "has read it already, without giving stars".to_owned(),
        Some(stars) => format!("has read it already, and gave it {stars}"),
        None if reader.has(item) => "has read another edition of it already".to_owned(),
        None => format!("score {score:.4}: place {} of {} that come into question", count(place), count(all)),
    }];
    let place = (!reader.has(item)).then_some(place);
    match (stars, parts, fitted.rating) {
        (Some(stars), Some(parts), Some(model)) => {
            let (low, high) = model.scale;
            let parts = parts.map(|(name, value)| match name {
                "mean" => format!("{name} {value:.2}"),
                _ => format!("{name} {value:+.2}"),
            });
            lines.push(format!("expected stars {stars:.2} of {low} to {high}: {}", parts.join(", ")));
        }
        _ => lines.push("expected stars: nothing is known of either's".to_owned()),
    }
    lines.push(match listed {
        Some(row) => format!("in the published list: rank {}, score {:.4}", row.rank, row.score),
        None => "not in the published list".to_owned(),
    });
    lines.extend(reader.changed());
    let head =
        format!("Reader {} and {}", plain(&reader.id.borrow().to_string()), lookup.titles.of(spelling));
    let text = format!("{}\n  {}", console.heading(&head), lines.join("\n  "));
    let json = json!({
        "user_id": id_json(reader.id.borrow()),
        "isbn": spelling,
        "isbn13": items.isbn13(item as usize),
        "title": lookup.titles.title(spelling),
        "score": score,
        "place": place,
        "predicted_rating": stars,
        "parts": parts.map(|parts| parts.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>()),
        "read": own.is_some(),
        "rated": own.filter(|stars| !stars.is_nan()),
        "rank": listed.map(|row| row.rank),
        "model_run": reader.run_id,
        "ratings_changed": !reader.trained,
    });
    Ok(Outcome { text, json, failure: None })
}
