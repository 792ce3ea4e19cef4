//! `nightshelf explain`: shows how much each of a reader's own books adds to the score of another.

use serde_json::json;

use super::Outcome;
use crate::cli::Pair;
use crate::config::{Objective, Solver};
use crate::console::Console;
use crate::context::Context;
use crate::error::Result;
use crate::model::attribution::{self, Attribution};
use crate::model::ranker::features;
use crate::query::{KnownReader, Lookup, id_json};
use crate::recommender::lists::Judged;
use crate::text::plain;

/// How many own books are shown one by one.
const SHOWN: usize = 10;

/// Shows what each own book adds to the scores of a book and, if lists have a ranker, what each feature adds to its
/// judgement. The terms of factors add up to their score if that was solved in closed form (`als`); those of
/// neighbours, and of features, always add up.
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
    let judged = reader.judged(item, context.interrupt)?;
    let Scores { terms, base, factors, neighbours } = Scores::of(&reader, item)?;
    let score = judged.as_ref().map_or(factors, |judged| judged.score);
    let sum = base + terms.iter().map(|term| term.factors).sum::<f32>();

    let stars = |item: u32| reader.own(item).filter(|stars| !stars.is_nan());
    let parts = if reader.by_neighbours() { 2.0 } else { 1.0 };
    let percent = |share: f32| format!("{:.0}%", share / parts * 100.0);
    let row = |what: String, stars: String, factors: f32, neighbours: f32, share: String| {
        let mut row = vec![what, stars, format!("{factors:+.4}")];
        row.extend(reader.by_neighbours().then(|| format!("{neighbours:+.4}")));
        row.push(share);
        row
    };
    let mut rows: Vec<Vec<String>> = terms
        .iter()
        .take(SHOWN)
        .map(|term| {
            let stars = stars(term.item).map_or(String::new(), |stars| stars.to_string());
            row(titles.of(spelling(term.item)), stars, term.factors, term.neighbours, percent(term.share))
        })
        .collect();
    if terms.len() > SHOWN {
        let rest = &terms[SHOWN..];
        let [factors, neighbours, share] = [
            rest.iter().map(|term| term.factors).sum(),
            rest.iter().map(|term| term.neighbours).sum(),
            rest.iter().map(|term| term.share).sum(),
        ];
        rows.push(row(
            format!("{} other books", rest.len()),
            String::new(),
            factors,
            neighbours,
            percent(share),
        ));
    }
    if base != 0.0 {
        let what = "mean stars, and those of this reader and of this book".to_owned();
        rows.push(row(what, String::new(), base, 0.0, String::new()));
    }
    rows.push(row("together".to_owned(), String::new(), sum, neighbours, String::new()));
    let mut notes = Vec::new();
    if reader.config.model.solver != Solver::Als {
        notes.push(format!(
            "(the score by factors is {factors:.4}: the {:?} solver comes near the sum, and does not meet it)",
            reader.config.model.solver
        ));
    }
    if reader.own(item).is_some() {
        notes.push("(the reader has read this book already: it would not be recommended)".to_owned());
    } else if reader.has(item) {
        notes.push("(the reader has read another edition: this one would not be recommended)".to_owned());
    }
    let low = judged.as_ref().map(|judged| judged.low);
    if low == Some(true) {
        notes.push(
            "(the reader is expected to mark it low: it stands behind all other candidates)".to_owned(),
        );
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
    let (header, numbers): (&[&str], &[usize]) = match reader.by_neighbours() {
        true => (&["own book", "stars", "factors", "neighbours", "share"], &[1, 2, 3, 4]),
        false => (&["own book", "stars", "adds", "share"], &[1, 2, 3]),
    };
    let mut text = vec![console.heading(&head), console.table(header, rows, numbers)];
    text.extend(judged.as_ref().map(|judged| of_features(console, judged)));
    text.extend(notes);
    let term = |term: &Term| {
        let isbn = spelling(term.item);
        json!({
            "isbn": isbn,
            "title": titles.title(isbn),
            "rated": stars(term.item),
            "adds": term.factors,
            "neighbours": term.neighbours,
            "share": term.share / parts,
        })
    };
    let feature = |judged: &Judged| {
        let each = features::ALL.iter().zip(judged.features.iter().zip(&judged.added));
        each.map(|((_, name, _), (value, adds))| json!({ "name": name, "value": value, "adds": adds }))
            .collect::<Vec<_>>()
    };
    let json = json!({
        "user_id": id_json(reader.id.borrow()),
        "isbn": spelling(item),
        "title": titles.title(spelling(item)),
        "score": score,
        "by_factors": factors,
        "by_neighbours": neighbours,
        "base": base,
        "sum": sum,
        "terms": terms.iter().map(term).collect::<Vec<_>>(),
        "features": judged.as_ref().map(feature),
        "low": low,
        "unseen": reader.unseen,
        "ratings_changed": !reader.trained,
    });
    Ok(Outcome { text: text.join("\n"), json, failure: None })
}

/// What a reader's own book adds.
struct Term {
    item: u32,
    /// To the score by factors, or to the stars.
    factors: f32,
    /// To the score by neighbours.
    neighbours: f32,
    /// The share of each model's score, added up: what names the reason of an entry.
    share: f32,
}

/// The scores of a book, and their terms, those with the largest share first.
struct Scores {
    terms: Vec<Term>,
    /// If lists are ordered by stars, what is not taste: the mean and the biases.
    base: f32,
    factors: f32,
    neighbours: f32,
}

impl Scores {
    fn of(reader: &KnownReader, item: u32) -> Result<Self> {
        let (fitted, parameters) = (reader.fitted(), reader.config.parameters());
        let (attribution, times, base) = match (reader.config.model.objective, fitted.rating) {
            (Objective::Rating, Some(model)) => {
                let taste = model.factors.score(0, item as usize);
                (Attribution::stars(model, fitted.rated, parameters)?, 1.0, reader.score(item) - taste)
            }
            _ => {
                let scale = fitted.item_scales[item as usize];
                (Attribution::ranking(fitted.ranking, fitted.weighted, parameters)?, scale, 0.0)
            }
        };
        let of_factors: Vec<f32> =
            attribution.contributions(0, item).into_iter().map(|term| term * times).collect();
        let own = attribution.items(0);
        let of_neighbours = match reader.by_neighbours() {
            true => fitted.neighbours.terms(own, item),
            false => vec![0.0; own.len()],
        };
        let mut shares = of_factors.clone();
        attribution::add_shares(&mut shares, of_neighbours.clone());
        let mut terms: Vec<Term> = own
            .iter()
            .zip(of_factors)
            .zip(of_neighbours.iter().zip(shares))
            .map(|((item, factors), (neighbours, share))| Term {
                item: *item,
                factors,
                neighbours: *neighbours,
                share,
            })
            .collect();
        terms.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.item.cmp(&b.item)));
        Ok(Self { terms, base, factors: reader.score(item), neighbours: of_neighbours.iter().sum() })
    }
}

/// The features that add most to the judgement, or take most away.
fn of_features(console: &Console, judged: &Judged) -> String {
    let mut order: Vec<usize> = (0..features::COUNT).collect();
    order.sort_by(|a, b| judged.added[*b].abs().total_cmp(&judged.added[*a].abs()));
    let row = |at: usize| {
        let (_, name, what) = features::ALL[at];
        let [value, adds] = [judged.features[at], judged.added[at]];
        vec![name.to_owned(), format!("{value:.2}"), format!("{adds:+.2}"), what.to_owned()]
    };
    let rows = order.into_iter().filter(|at| judged.added[*at] != 0.0).take(SHOWN).map(row).collect();
    let head =
        format!("Place {} of {} candidates; what the ranker makes of it", judged.place, judged.candidates);
    let table = console.table(&["feature", "value", "adds", "which is"], rows, &[1, 2]);
    format!("\n{}\n{table}", console.heading(&head))
}
