//! The page about many databases: a line for each, the worst first.

use std::fmt;

use maud::{Markup, html};
use serde::Serialize;

use super::page::document;
use crate::text::count;

/// How one database is, the worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It cannot be read.
    #[default]
    Unreadable,
    /// Others kept it locked for as long as we waited.
    Busy,
    /// No night yet.
    Never,
    Failed,
    Refused,
    Interrupted,
    /// The last night was good, and is long ago.
    Old,
    Good,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One database, and its last nights.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shop {
    pub db: String,
    pub state: State,
    /// Since the last night that published, or had no need to.
    pub age_hours: Option<f64>,
    /// Of the last night that published, as all below.
    pub ratings: Option<u64>,
    pub readers: Option<u64>,
    pub rows: Option<u64>,
    pub seconds: Option<f64>,
    pub ndcg: Option<f64>,
    /// What was wrong with the last night.
    pub remark: Option<String>,
}

impl Shop {
    /// What the page and the prompt both show, in the order of [`HEADER`].
    pub fn cells(&self) -> [String; 8] {
        let counted = |number: Option<u64>| number.map(count).unwrap_or_default();
        let figure = |figure: Option<f64>, digits: usize| {
            figure.map(|figure| format!("{figure:.digits$}")).unwrap_or_default()
        };
        [
            self.db.clone(),
            self.state.to_string(),
            self.age_hours.map(age).unwrap_or_default(),
            counted(self.ratings),
            counted(self.readers),
            counted(self.rows),
            figure(self.seconds, 1),
            figure(self.ndcg, 4),
        ]
    }
}

/// The headings of [`Shop::cells`].
pub const HEADER: [&str; 8] =
    ["database", "state", "last good night", "ratings", "readers", "rows", "seconds", "nDCG@20"];

/// Which of [`HEADER`] stand on the right, as numbers do.
pub const NUMBERS: [usize; 5] = [3, 4, 5, 6, 7];

fn age(hours: f64) -> String {
    match hours {
        ..2.0 => format!("{:.0} minutes ago", hours * 60.0),
        2.0..72.0 => format!("{hours:.0} hours ago"),
        _ => format!("{:.0} days ago", hours / 24.0),
    }
}

pub fn page(shops: &[Shop], made: &str) -> String {
    let well = shops.iter().filter(|shop| shop.state == State::Good).count();
    let title = format!("{} databases: recommendations", count(shops.len()));
    let body = html! {
        header {
            h1 { (title) }
            p.soft { (count(well)) " are well, " (count(shops.len() - well)) " need a look. The worst stand first." }
        }
        div.scroll { table {
            tr { @for (place, name) in HEADER.iter().enumerate() { (heading(place, name)) } }
            @for shop in shops { tr { @for (place, cell) in shop.cells().iter().enumerate() { (self::cell(shop, place, cell)) } } }
        } }
    };
    document(&title, made, &body)
}

fn heading(place: usize, name: &str) -> Markup {
    html! { @if NUMBERS.contains(&place) { th.n { (name) } } @else { th { (name) } } }
}

fn cell(shop: &Shop, place: usize, text: &str) -> Markup {
    html! {
        @if NUMBERS.contains(&place) { td.n { (text) } }
        @else if place == 1 {
            td {
                @if shop.state == State::Good { (text) } @else { strong.bad { (text) } }
                @if let Some(remark) = &shop.remark { br; small.bad { (remark) } }
            }
        }
        @else if place == 2 { td.w { (text) } }
        @else { td { (text) } }
    }
}
