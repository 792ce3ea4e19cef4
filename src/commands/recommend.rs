//! `nightshelf recommend`: shows a reader's list.

use serde_json::json;

use super::Outcome;
use crate::catalog::ids::{Items, UserId};
use crate::catalog::recommendation::Origin;
use crate::cli::Recommend;
use crate::context::Context;
use crate::database::lists::{self, Listed};
use crate::database::{runs, source};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::device::Device;
use crate::query::{KnownReader, Lookup, id_json, listed_json, names, nothing_published};
use crate::recommender::lists::ListMaker;
use crate::text::plain;

/// Shows the published list of a reader. For a reader with ratings but no list, one is made now; for an
/// unknown reader, the most popular books are shown.
///
/// # Errors
/// [`crate::error::Kind::Failed`] if nothing is published yet.
pub fn recommend(context: Context<'_>, args: &Recommend) -> Result<Outcome> {
    let Context { config, console, .. } = context;
    let Some(word) = args.user.as_deref() else {
        return for_a_stranger(context, args);
    };
    let lookup = &Lookup::open(context, &args.target.db)?;
    if runs::current(&lookup.database)?.is_none() {
        return Err(nothing_published());
    }
    for id in UserId::readings(word) {
        let rows = lists::of(&lookup.database, id.borrow())?;
        if !rows.is_empty() {
            return Ok(show(lookup, Who::Known(&id), &rows, "published"));
        }
    }
    let rated = |id: &UserId| Ok(source::read_reader(&lookup.database, config, id.borrow())?.rows > 0);
    let has_ratings =
        UserId::readings(word).iter().map(rated).collect::<Result<Vec<bool>>>()?.contains(&true);
    let reader = if has_ratings { KnownReader::find(lookup, lookup.model()?, word)? } else { None };
    if let Some(reader) = reader {
        console.say(format!(
            "Reader {} has ratings, but no list yet: this one is made from the model of the last night. \
             `nightshelf backfill` publishes it.",
            plain(word)
        ));
        let rows = at_once(&reader, lookup.database.interrupt())?;
        return Ok(show(lookup, Who::Known(&reader.id), &rows, "made now"));
    }
    let near = lookup.readers_like(word)?;
    let nearest = match near.is_empty() {
        true => String::new(),
        false => format!(" The nearest known ids are {}.", names(&near)),
    };
    console.say(format!("Nobody here is called {}: this is what most people read.{nearest}", plain(word)));
    let rows = lists::popular(&lookup.database, config.output.top)?;
    Ok(show(lookup, Who::Unknown(word, &near), &rows, "popular"))
}

/// A list for somebody who is in no table and likes some books: nothing is written down.
fn for_a_stranger(context: Context<'_>, args: &Recommend) -> Result<Outcome> {
    let lookup = Lookup::without_titles(context, &args.target.db)?;
    let model = lookup.model()?;
    let liked: Vec<u32> =
        args.like.iter().map(|word| lookup.book(&model.books, word)).collect::<Result<_>>()?;
    let stranger = KnownReader::stranger(&lookup, model, &liked)?;
    let rows = at_once(&stranger, lookup.database.interrupt())?;
    let mut isbns: Vec<&str> = rows.iter().map(|row| row.isbn.as_str()).collect();
    let items = &stranger.books.items;
    isbns.extend(liked.iter().map(|item| items.spelling(*item as usize)));
    let lookup = lookup.with_titles_of(&isbns)?;
    Ok(show(&lookup, Who::Stranger(&liked, items), &rows, "made now"))
}

/// Makes a list by fold-in, for a reader who has none.
fn at_once(reader: &KnownReader, interrupt: &Interrupt) -> Result<Vec<Listed>> {
    let (books, fitted) = (&reader.books, reader.fitted());
    let lists = ListMaker::new(fitted, &books.popularity, Origin::FoldIn, &reader.config, Device::Cpu)?;
    let rows = lists.of(0..1, interrupt, &|_| ())?;
    let spelling = |item: u32| books.items.spelling(item as usize).to_owned();
    let listed = rows.iter().map(|row| Listed {
        rank: row.rank.into(),
        isbn: spelling(row.item),
        isbn13: books.items.isbn13(row.item as usize).map(str::to_owned),
        score: row.score.into(),
        stars: (!row.stars.is_nan()).then_some(row.stars.into()),
        source: row.origin.word().to_owned(),
        because: row.because.map(spelling),
        run_id: reader.run_id,
    });
    Ok(listed.collect())
}

/// Whose list is shown.
enum Who<'a> {
    Known(&'a UserId),
    /// Who likes these books.
    Stranger(&'a [u32], &'a Items),
    /// What was typed, and the known ids that are nearest.
    Unknown(&'a str, &'a [UserId]),
}

fn show(lookup: &Lookup<'_>, who: Who<'_>, rows: &[Listed], from: &str) -> Outcome {
    let (titles, console) = (&lookup.titles, lookup.context.console);
    let id = match who {
        Who::Known(id) => Some(id),
        _ => None,
    };
    let is_own = !matches!(who, Who::Unknown(..));
    let liked = match who {
        Who::Stranger(liked, items) => liked.iter().map(|item| items.spelling(*item as usize)).collect(),
        _ => Vec::new(),
    };
    let head = match who {
        Who::Known(id) => format!("Reader {}", plain(&id.borrow().to_string())),
        Who::Stranger(..) => {
            let titles: Vec<String> = liked.iter().map(|isbn| titles.of(isbn)).collect();
            format!("For somebody who likes {}", titles.join(" and "))
        }
        Who::Unknown(..) => "Most read".to_owned(),
    };
    let line = |row: &Listed| {
        let title = titles.title(&row.isbn).unwrap_or_default();
        let because = match (&row.because, row.source.as_str()) {
            (Some(isbn), _) => titles.of(isbn),
            (None, "popular") => "(many read it)".to_owned(),
            (None, _) => String::new(),
        };
        let score = if is_own { format!("{:.4}", row.score) } else { format!("{:.0}", row.score) };
        let stars = row.stars.map_or(String::new(), |stars| format!("{stars:.1}"));
        vec![row.rank.to_string(), plain(&row.isbn), title, score, stars, because]
    };
    let score = if is_own { "score" } else { "readers" };
    let header = ["", "isbn", "title", score, "stars", "because you liked"];
    let table = console.table(&header, rows.iter().map(line).collect(), &[0, 3, 4]);
    let json = json!({
        "user_id": match who {
            Who::Known(id) => id_json(id.borrow()),
            Who::Unknown(word, _) => json!(word),
            Who::Stranger(..) => json!(null),
        },
        "liked": liked,
        "known": id.is_some(),
        "from": from,
        "nearest": match who {
            Who::Known(_) | Who::Stranger(..) => json!([]),
            Who::Unknown(_, near) => near.iter().map(|id| id_json(id.borrow())).collect(),
        },
        "recommendations": rows.iter().map(|row| listed_json(row, titles)).collect::<Vec<_>>(),
    });
    Outcome { text: format!("{}\n{table}", console.heading(&head)), json, failure: None }
}
