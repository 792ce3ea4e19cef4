//! Writes the report as HTML.

use std::borrow::Cow;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::night::{Gate, Night, Run};
use super::plots::{self, Bars, Line};
use super::{BookName, Facts, Lists, Ratings, ReaderCard};
use crate::error::Result;
use crate::run_summary::Proof;
use crate::text::count;

/// How many readers' lists are visible at once; the others can be looked up.
const SHOWN: usize = 3;

pub fn page(facts: &Facts) -> Result<String> {
    let Facts { shop, made, night, runs, ratings, lists, proof, similar, readers } = facts;
    let title = format!("{shop}: recommendations");
    let body = html! {
        header {
            h1 { (title) }
            @match night {
                Some(night) => p.soft { "Run " (night.run_id) ", " (night.when) }
                None => p { "Nothing is published yet: " code { "nightshelf run" } " makes the first lists." }
            }
        }
        @if let Some(night) = night {
            div.tiles { @for (value, name) in &night.tiles { div.tile { b { (value) } span { (name) } } } }
            (quality(night, runs)?)
        }
        @if let Some((runs, proof)) = proof { (did_it_work(*runs, proof)?) }
        @if let Some(lists) = lists { (who_gets_what(lists)?) }
        @if !readers.is_empty() { (people(readers)) }
        @if !similar.is_empty() { (alike(similar)) }
        @if let Some(ratings) = ratings { (input(ratings)?) }
        @if let Some(night) = night { (machine(night)?) }
        @if !runs.is_empty() { (history(runs)) }
    };
    Ok(document(&title, made, &body))
}

/// A page that loads nothing.
pub(super) fn document(title: &str, made: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (body)
                footer { "Made by nightshelf " (made) ". This page stands alone: it loads nothing." }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    page.into_string()
}

/// A plot with legend and caption. `names` are those of its series, and whether they are only for comparison.
fn plot<'a>(svg: String, names: impl IntoIterator<Item = (&'a str, bool)>, caption: &str) -> Markup {
    let names: Vec<_> = names.into_iter().collect();
    html! { figure {
        @if names.len() > 1 {
            p.legend { @for (name, is_other) in names { span.theirs[is_other] { (name) } " " } }
        }
        div role="img" aria-label=(caption) { (PreEscaped(svg)) }
        figcaption { (caption) }
    } }
}

fn quality(night: &Night, runs: &[Run]) -> Result<Markup> {
    let mut losses: Vec<Line> = Vec::new();
    let mut epoch = 0.0;
    for (place, (name, values)) in night.losses.iter().filter(|(_, values)| !values.is_empty()).enumerate() {
        let point = |loss: &f64| {
            epoch += 1.0;
            (epoch, *loss)
        };
        losses.push(Line {
            name: name.clone(),
            points: values.iter().map(point).collect(),
            is_other: place == 0,
        });
    }
    if let [only] = losses.as_mut_slice() {
        only.is_other = false;
    }
    let judged: Vec<(usize, &Run, f64, Option<f64>)> = runs
        .iter()
        .filter_map(|run| run.quality.map(|(model, baseline)| (run, model, baseline)))
        .enumerate()
        .map(|(place, (run, model, baseline))| (place, run, model, baseline))
        .collect();
    let figure = night.gate.as_ref().map_or("quality", |gate| &gate.figure);
    let mut history = vec![Line {
        name: "model".into(),
        points: judged.iter().map(|(place, _, model, _)| (*place as f64, *model)).collect(),
        is_other: false,
    }];
    let baseline: Vec<(f64, f64)> =
        judged.iter().filter_map(|(place, _, _, baseline)| Some((*place as f64, (*baseline)?))).collect();
    if !baseline.is_empty() {
        let name = night.gate.as_ref().map_or("baseline".into(), |gate| gate.baseline.0.clone());
        history.push(Line { name, points: baseline, is_other: true });
    }
    let label = |tick: f64| {
        judged
            .get(tick.round().max(0.0) as usize)
            .map_or(String::new(), |(_, run, ..)| run.run_id.to_string())
    };
    Ok(html! {
        h2 { "Is it good?" }
        p {
            "Before a night is published, a part of the ratings is hidden and the model has to foretell them."
            @if night.gate.is_none() { " This night was not judged so." }
        }
        @if let Some(gate) = &night.gate { (verdict(gate)) }
        @for remark in &night.remarks { p.bad { (remark) } }
        div.plots {
            @if !judged.is_empty() {
                (plot(
                    plots::lines("run", &label, &history)?,
                    history.iter().map(|line| (line.name.as_str(), line.is_other)),
                    &format!("{figure} over the last nights; {} is better", if figure == "RMSE" { "less" } else { "more" }),
                ))
            }
            @if !losses.is_empty() {
                (plot(
                    plots::lines("pass over the ratings", &|tick| format!("{tick:.0}"), &losses)?,
                    losses.iter().map(|line| (line.name.as_str(), line.is_other)),
                    "Training: the loss for each rating; less is better",
                ))
            }
        }
        @if !night.figures.is_empty() {
            details {
                summary { "All figures of the hidden ratings" }
                div.scroll { table {
                    @for (name, value) in &night.figures { tr { td { (name) } td.n { (value) } } }
                } }
            }
        }
    })
}

fn verdict(gate: &Gate) -> Markup {
    let ahead = gate.lead.1[0] > 0.0;
    let name = &gate.baseline.0;
    html! {
        p {
            @if ahead { strong.good { "Better than " (name) "." } } @else { strong.bad { "Not surely better than " (name) "." } }
            " On " (count(gate.readers)) " readers, " (gate.figure) " is " (format!("{:.4}", gate.model))
            @if let Some([low, high]) = gate.interval { " (95% sure to be from " (format!("{low:.4} to {high:.4}")) ")" }
            "; " (name) " has " (format!("{:.4}", gate.baseline.1)) ". The lead is " (format!("{:.4}", gate.lead.0))
            ", 95% sure to be from " (format!("{:.4} to {:.4}", gate.lead.1[0], gate.lead.1[1])) "."
        }
        @if !gate.rules.is_empty() {
            p { "What your own rules cost, in " (gate.figure) " (less than nothing is a price):" }
            div.scroll { table {
                tr { th { "rule" } th.n { "adds" } th.n { "95% sure to be from" } }
                @for (rule, mean, [low, high]) in &gate.rules { tr {
                    td { code { (rule) } } td.n { (format!("{mean:+.4}")) } td.n { (format!("{low:+.4} to {high:+.4}")) }
                } }
            } }
        }
        @if let Some((run, then, now)) = gate.before {
            p.soft {
                "For the readers who were judged in run " (run) ", too: " (format!("{then:.4}")) " then, "
                (format!("{now:.4}")) " now."
            }
        }
    }
}

fn did_it_work(runs: usize, proof: &Proof) -> Result<Markup> {
    let sure = |hits: u64| {
        proof.share(hits).map_or(String::new(), |(share, [low, high])| {
            format!("{} (95% sure to be from {} to {})", percent(share), percent(low), percent(high))
        })
    };
    let labels: Vec<String> = (1..=proof.by_rank.len()).map(|rank| rank.to_string()).collect();
    let values = proof.by_rank.iter().map(|hits| *hits as f64).collect();
    let series = [Bars { name: "picked up".into(), values, is_other: false }];
    Ok(html! {
        h2 { "Did it work?" }
        p {
            "In the last " (runs) @if runs == 1 { " run" } @else { " runs" } ", readers with a list picked up "
            (count(proof.picks)) " books. " (count(proof.hits)) " of them stood in their list: " (sure(proof.hits)) "."
            @if let Some(hits) = proof.popular_hits {
                " The popular list of the same length, the same for all, had " (count(hits)) ": " (sure(hits)) "."
            }
        }
        @if proof.hits > 0 {
            div.plots {
                (plot(
                    plots::bars("rank", &labels, &series, &plots::number)?,
                    None,
                    "At which rank the books stood that were picked up",
                ))
                div { table {
                    tr { th { "made by" } th.n { "picked up" } }
                    @for (source, hits) in &proof.by_source { tr { td { (source) } td.n { (count(*hits)) } } }
                } }
            }
        }
    })
}

/// Shares of what is read and of what is recommended, by language or category.
fn shares_of(what: &str, groups: &[(String, f64, f64)]) -> Markup {
    html! {
        @if !groups.is_empty() {
            div.scroll { table {
                tr { th { (what) } th.n { "of what is read" } th.n { "of what is recommended" } }
                @for (name, read, shown) in groups { tr {
                    td { (name) } td.n { (percent(*read)) } td.n { (percent(*shown)) }
                } }
            } }
        }
    }
}

fn alike(similar: &[(BookName, Vec<BookName>)]) -> Markup {
    html! {
        h2 { "Which books are alike?" }
        div.readers { @for (book, like) in similar { section.reader {
            h3 { (named(book)) }
            ol { @for other in like { li { (named(other)) } } }
        } } }
    }
}

fn who_gets_what(lists: &Lists) -> Result<Markup> {
    let labels: Vec<String> = lists.groups.iter().map(|(label, ..)| label.clone()).collect();
    let share =
        |of: fn(&(String, f64, f64)) -> f64| lists.groups.iter().map(|group| of(group) * 100.0).collect();
    let series = [
        Bars { name: "of what is read".into(), values: share(|group| group.1), is_other: true },
        Bars { name: "of what is recommended".into(), values: share(|group| group.2), is_other: false },
    ];
    let (shown, all) = lists.shown;
    Ok(html! {
        h2 { "Who gets what?" }
        div.plots {
            (plot(
                plots::bars("readers of the book", &labels, &series, &|value| format!("{value:.0}%"))?,
                series.iter().map(|bars| (bars.name.as_str(), bars.is_other)),
                "Shares of well-known and little-known books, in what is read and in what is recommended",
            ))
            div {
        p {
            (count(shown)) " different books stand in the lists, " (percent(shown as f64 / all.max(1) as f64))
            " of the " (count(all)) " that are known. " (percent(lists.popular))
            " of all entries only repeat what most people read, because the model knows too little of the reader. \
             The tenth of the books with most readers has " (percent(lists.head.0)) " of the ratings, and gets "
            (percent(lists.head.1)) " of the entries."
        }
                (shares_of("language", &lists.languages))
                (shares_of("category", &lists.categories))
            }
        }
    })
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 9.95 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

fn people(readers: &[ReaderCard]) -> Markup {
    html! {
        h2 { "What do readers see?" }
        div.readers { @for reader in readers.iter().take(SHOWN) { (card(reader)) } }
        div.lookup {
            label for="who" { "Look one up, of " (readers.len()) " readers who stand in this page:" }
            input #who list="ids" autocomplete="off" placeholder="user_id";
            datalist #ids { @for reader in readers { option value=(reader.id) {} } }
            p #none .soft hidden { "This reader is not in the page: nightshelf recommend --user ID shows anybody's list." }
            div #sample .readers { @for reader in readers { (hidden_card(reader)) } }
        }
    }
}

fn card(reader: &ReaderCard) -> Markup {
    html! { section.reader { (inside(reader)) } }
}

fn hidden_card(reader: &ReaderCard) -> Markup {
    html! { section.reader data-id=(reader.id) hidden { (inside(reader)) } }
}

fn inside(reader: &ReaderCard) -> Markup {
    html! {
        h3 { "Reader " (reader.id) }
        details {
            summary { "has read " (count(reader.read)) @if reader.read == 1 { " book" } @else { " books" } }
            ul { @for (book, stars) in &reader.liked { li {
                @if let Some(stars) = stars { span.stars { (stars) } }
                (named(book))
            } } }
        }
        ol { @for entry in &reader.list { li {
            @if let Some(stars) = entry.stars { span.stars { (format!("{stars:.1} expected")) } }
            (named(&entry.book))
            @if !entry.because.is_empty() { span.why { (entry.because) } }
        } } }
    }
}

fn named(book: &BookName) -> Markup {
    html! {
        span.title { (quietly(&book.title)) }
        @if let Some(author) = &book.author { ", " span.soft { (quietly(author)) } }
    }
}

/// A title that shouts in capitals, as a title.
fn quietly(title: &str) -> Cow<'_, str> {
    let letters = title.chars().filter(|c| c.is_alphabetic()).count();
    if letters < 4 || title.contains(char::is_lowercase) {
        return Cow::Borrowed(title);
    }
    let word = |word: &str| {
        let mut begun = false;
        let quiet = word.chars().flat_map(|c| {
            let is_first = c.is_alphabetic() && !begun;
            begun |= c.is_alphabetic();
            if is_first { vec![c] } else { c.to_lowercase().collect() }
        });
        quiet.collect::<String>()
    };
    Cow::Owned(title.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

fn input(ratings: &Ratings) -> Result<Markup> {
    let rated: u64 = ratings.stars.iter().map(|(_, rows)| rows).sum();
    let all = (rated + ratings.implicit).max(1);
    let (labels, values) = ratings.stars.iter().map(|(label, rows)| (label.clone(), *rows as f64)).unzip();
    let series = [Bars { name: "ratings".into(), values, is_other: false }];
    let labels: Vec<String> = labels;
    Ok(html! {
        h2 { "What came in?" }
        p {
            (count(ratings.rows)) " rows; " (percent(ratings.implicit as f64 / all as f64))
            " of the ratings say “read” without stars."
        }
        div.plots {
            @if rated > 0 { (plot(plots::bars("stars", &labels, &series, &plots::number)?, None, "How many ratings have how many stars")) }
            div {
        h3 { "ISBNs and other keys" }
        @if ratings.hygiene.is_empty() { p { "Every row was taken as it stands." } }
        @else {
            div.scroll { table {
                tr { th { "what" } th.n { "rows" } th { "such as" } }
                @for row in &ratings.hygiene { tr {
                    td { (row.what) } td.n { (count(row.rows)) }
                    td { @for (place, example) in row.examples.iter().enumerate() {
                        @if place > 0 { ", " } code { (example) }
                    } }
                } }
            } }
        }
            }
        }
    })
}

fn machine(night: &Night) -> Result<Markup> {
    let by_stage = |values: &[(String, f64)], caption: &str| -> Result<Markup> {
        let labels: Vec<String> = values.iter().map(|(stage, _)| stage.clone()).collect();
        let values = values.iter().map(|(_, value)| *value).collect();
        let series = [Bars { name: caption.to_owned(), values, is_other: false }];
        Ok(html! {
            @if !labels.is_empty() { (plot(plots::bars("", &labels, &series, &plots::number)?, None, caption)) }
        })
    };
    let most =
        night.most_memory.map(|bytes| format!(" It took at most {} MB of memory.", count(bytes / 1_000_000)));
    Ok(html! {
        h2 { "What did it cost?" }
        p { "On " (night.device) ", nightshelf " (night.version) "." (most.unwrap_or_default()) }
        div.plots {
            (by_stage(&night.stages, "Seconds by stage")?)
            (by_stage(&night.memory, "Memory by stage: the most megabytes until its end")?)
        }
    })
}

fn history(runs: &[Run]) -> Markup {
    html! {
        h2 { "The last runs" }
        div.scroll { table {
            tr { th.n { "run" } th { "when" } th { "what" } th.n { "seconds" } th.n { "rows" } th.n { "quality" } }
            @for run in runs.iter().rev() { tr {
                td.n { (run.run_id) } td.w { (run.when) }
                td { (run.what) @if let Some(error) = &run.error { br; small.bad { (error) } } }
                td.n { @if let Some(seconds) = run.seconds { (format!("{seconds:.1}")) } }
                td.n { @if let Some(rows) = run.rows { (count(rows)) } }
                td.n { @if let Some((quality, _)) = run.quality { (format!("{quality:.4}")) } }
            } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_do_not_shout() {
        assert_eq!(quietly("THE HOBBIT: OR THERE AND BACK"), "The Hobbit: Or There And Back");
        for same in ["The Hobbit", "IT", "1984", "Éloge"] {
            assert_eq!(quietly(same), same);
        }
    }
}
