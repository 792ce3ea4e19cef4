//! The readings that one table of a database has: which of the columns that its rows lead to hold what.

use super::contents::Content;
use super::events::{Event, event};
use super::fields::{Field, fit, is_isbn_name};
use super::links::links;
use super::schema::{Join, Place, SampledTable};
use super::states::{self, State};

/// A table with a row for each reading, and what its columns, and those it leads to, hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// The table: of ratings, of loans, of lines of orders.
    pub table: String,
    pub event: Option<Event>,
    /// Tables that its rows lead to, in order.
    pub joins: Vec<Join>,
    pub user: Place,
    /// The book's ISBN or other id.
    pub isbn: Place,
    pub rating: Option<Place>,
    pub rated_at: Option<Place>,
    /// A shelf or a status, and its values.
    pub state: Option<StateColumn>,
    /// Whether books go by ISBN.
    pub is_isbn: bool,
    /// What a rating of 0 means; `None` if there is none.
    pub zeros: Option<Zeros>,
    /// The highest rating that was seen.
    pub highest: f64,
}

impl Readings {
    /// Whether a query has to say it: one table and its columns are not enough.
    pub fn needs_query(&self) -> bool {
        !self.joins.is_empty() || self.state.as_ref().is_some_and(|state| !state.unread.is_empty())
    }
}

/// A column that says what became of a book, and the values that are no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateColumn {
    pub place: Place,
    pub values: Vec<String>,
    pub unread: Vec<String>,
}

impl StateColumn {
    pub fn new(place: Place, mut values: Vec<String>) -> Self {
        values.sort_unstable();
        values.dedup();
        let is_unread = |value: &&String| {
            matches!(states::state(value, &place.column), Some(State::Unread | State::GivenUp))
        };
        let unread = values.iter().filter(is_unread).cloned().collect();
        Self { place, values, unread }
    }
}

/// What a rating of 0 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// Read, but not rated: other ratings are above 1.
    Unrated,
    /// A bad rating: no rating is above 1.
    Dislike,
}

/// Tables as they were sampled, and what their columns look like.
pub(super) struct Survey<'a> {
    pub(super) tables: &'a [SampledTable],
    pub(super) contents: Vec<Vec<Content>>,
    values: Values<'a>,
}

/// The different values of a column.
pub type Values<'a> = &'a dyn Fn(&Place) -> Option<Vec<String>>;

impl<'a> Survey<'a> {
    pub(super) fn of(tables: &'a [SampledTable], values: Values<'a>) -> Self {
        let contents = tables
            .iter()
            .map(|table| (0..table.columns.len()).map(|column| Content::of(table.values(column))).collect())
            .collect();
        Self { tables, contents, values }
    }
}

/// How well a column must fit.
pub(super) const LEAST: f64 = 0.4;

/// What a column fits less for each table that lies between.
const FAR: f64 = 0.12;

/// More values than these are no shelves.
const MOST_STATES: usize = 20;

/// How much more likely a table with rows of this kind has the readings.
fn likely(event: Option<Event>) -> f64 {
    match event {
        None => 0.0,
        Some(Event::Seen) => 0.2,
        Some(_) => 0.5,
    }
}

impl Survey<'_> {
    /// A table as the one with the readings, and how well it fits.
    pub(super) fn readings(&self, table: usize) -> Option<(f64, Readings)> {
        let name = &self.tables[table].name;
        let event = event(name).filter(|_| !self.tables[table].is_view);
        let reached = self.reached_from(table);
        let (item, item_fit) = self.best(&reached, &[], |content, name| content.as_item(name))?;
        let (user, user_fit) = self.best(&reached, &[item], |content, name| content.as_user(name))?;
        let near: Vec<(usize, Vec<Join>)> =
            reached.iter().filter(|(_, joins)| joins.len() <= 1).cloned().collect();
        let rating = self.best(&near[..1], &[item, user], |content, name| content.as_rating(name));
        let rating = rating.map(|(place, _)| place);
        let mut taken = vec![item, user];
        taken.extend(rating);
        // The order has its date, not the line of it; the book has one, too, but that is another.
        let times: Vec<_> =
            near.iter().filter(|(other, _)| *other != item.0 || *other == table).cloned().collect();
        let time = self.best(
            &times,
            &taken,
            |content, name| if content.known > 0 { content.as_time(name) } else { 0.0 },
        );
        let is_of_item = |table: usize| {
            reached.iter().any(|(other, joins)| {
                *other == item.0 && joins.iter().any(|join| join.table == self.tables[table].name)
            })
        };
        let states: Vec<_> =
            near.iter().filter(|(other, _)| *other == table || !is_of_item(*other)).cloned().collect();
        let state = self.best(&states, &taken, |content, name| {
            let is_shelf = content.known > 0 && content.distinct <= MOST_STATES;
            if is_shelf && fit(name, Field::State) >= 0.8 { fit(name, Field::State) } else { 0.0 }
        });
        let state = state.map(|(place, _)| self.state(place));
        let mut joins: Vec<Join> = Vec::new();
        let places = [Some(item), Some(user), rating, time.map(|(place, _)| place)];
        let of_state = state.as_ref().filter(|state| !state.unread.is_empty());
        let of_state =
            of_state.and_then(|state| self.tables.iter().position(|table| table.name == state.place.table));
        let needed = places.into_iter().flatten().map(|(table, _)| table).chain(of_state);
        for wanted in needed {
            let way = reached.iter().find(|(other, _)| *other == wanted).map(|(_, joins)| joins.as_slice());
            for join in way.unwrap_or_default() {
                if !joins.contains(join) {
                    joins.push(join.clone());
                }
            }
        }
        let content = |(table, column): (usize, usize)| &self.contents[table][column];
        // Ten times as many orders as reviews say more than any name.
        let rows = 2.0 * ((self.tables[table].rows + 1) as f64).log10();
        let fit = item_fit + user_fit + rows + likely(event);
        let zeros = rating
            .filter(|place| content(*place).zeros)
            .map(|place| if content(place).highest > 1.0 { Zeros::Unrated } else { Zeros::Dislike });
        let is_isbn = content(item).isbns > 0.5
            || content(item).known == 0 && is_isbn_name(&self.tables[item.0].columns[item.1]);
        Some((
            fit,
            Readings {
                table: name.clone(),
                event,
                joins,
                user: self.place(user),
                isbn: self.place(item),
                rating: rating.map(|place| self.place(place)),
                rated_at: time.map(|(place, _)| self.place(place)),
                state,
                is_isbn,
                zeros,
                highest: rating.map_or(0.0, |place| content(place).highest),
            },
        ))
    }

    /// The tables that the rows of one lead to, over up to three others, each with the joins on the way; first itself.
    fn reached_from(&self, table: usize) -> Vec<(usize, Vec<Join>)> {
        const HOPS: usize = 3;
        let mut reached: Vec<(usize, Vec<Join>)> = vec![(table, Vec::new())];
        let mut next = 0;
        while next < reached.len() {
            let (at, joins) = reached[next].clone();
            next += 1;
            if joins.len() == HOPS {
                continue;
            }
            for (other, join) in links(self.tables, &self.contents, at) {
                if !reached.iter().any(|(known, _)| *known == other) {
                    let joins = joins.iter().cloned().chain([join]).collect();
                    reached.push((other, joins));
                }
            }
        }
        reached
    }

    /// The column of these tables that fits best, and how well; never one that is `taken`.
    fn best(
        &self,
        reached: &[(usize, Vec<Join>)],
        taken: &[(usize, usize)],
        fit: impl Fn(&Content, &str) -> f64,
    ) -> Option<((usize, usize), f64)> {
        let is_sampled = self.tables.iter().any(|table| table.rows > 0);
        let mut best: Option<((usize, usize), f64)> = None;
        for (table, joins) in reached {
            for (column, content) in self.contents[*table].iter().enumerate() {
                // A column without values holds nothing, unless all are so: then only names tell.
                if taken.contains(&(*table, column))
                    || is_sampled && content.known == 0 && self.tables[*table].rows > 0
                {
                    continue;
                }
                let fit = fit(content, &self.tables[*table].columns[column]) - FAR * joins.len() as f64;
                if fit >= LEAST && best.is_none_or(|(_, before)| fit > before) {
                    best = Some(((*table, column), fit));
                }
            }
        }
        best
    }

    fn place(&self, (table, column): (usize, usize)) -> Place {
        let table = &self.tables[table];
        Place { table: table.name.clone(), column: table.columns[column].clone() }
    }

    fn state(&self, place: (usize, usize)) -> StateColumn {
        let sampled = || self.tables[place.0].values(place.1).map(str::to_owned).collect();
        let place_of = self.place(place);
        let values = (self.values)(&place_of).unwrap_or_else(sampled);
        StateColumn::new(place_of, values)
    }
}
