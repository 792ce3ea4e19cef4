//! Ratings as rows come in, column by column, before anything is made of them.

use polars::prelude::*;

use crate::catalog::dates::{self, Evidence, Written};
use crate::catalog::ids::UserRef;
use crate::config::DateOrder;

/// Ratings as they are read, one column per field. The columns of text ids and of times exist only if they
/// hold anything: most tables have one kind of id, and many have no times.
pub struct RatingColumns {
    user_integer: PrimitiveChunkedBuilder<Int64Type>,
    user_text: Option<StringChunkedBuilder>,
    isbn: StringChunkedBuilder,
    rating: Vec<f32>,
    moment: Vec<f64>,
    /// Rows whose time has two readings, and the other one, in seconds.
    doubtful: Vec<(usize, Written)>,
    evidence: Evidence,
    unread: UnreadTimes,
    weight: Vec<f32>,
}

/// When a rating was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time<'a> {
    Unknown,
    /// A number that grows with time.
    At(f64),
    /// As it is written.
    Text(&'a str),
}

/// Rows whose time cannot be read, with an example of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadTimes {
    /// What is no time.
    pub odd: u64,
    pub odd_example: String,
    /// Where nothing says whether the day or the month comes first.
    pub doubtful: u64,
    pub doubtful_example: String,
}

/// [`RatingColumns`] as a frame.
#[derive(Debug)]
pub struct RatingFrame {
    pub frame: DataFrame,
    pub unread_times: UnreadTimes,
}

impl Default for RatingColumns {
    fn default() -> Self {
        Self {
            user_integer: PrimitiveChunkedBuilder::new("user_integer".into(), 0),
            user_text: None,
            isbn: StringChunkedBuilder::new("isbn".into(), 0),
            rating: Vec::new(),
            moment: Vec::new(),
            doubtful: Vec::new(),
            evidence: Evidence::default(),
            unread: UnreadTimes::default(),
            weight: Vec::new(),
        }
    }
}

impl std::fmt::Debug for RatingColumns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RatingColumns of {} rows", self.rating.len())
    }
}

impl RatingColumns {
    /// As [`RatingColumns::push`], with a time as it stands in somebody's column.
    pub fn push_at(&mut self, user: UserRef<'_>, isbn: &str, rating: f32, time: Time<'_>) {
        let moment = match time {
            Time::Unknown => f64::NEG_INFINITY,
            Time::At(moment) => moment,
            Time::Text(text) if text.trim().is_empty() => f64::NEG_INFINITY,
            Time::Text(text) => self.read(text),
        };
        self.push(user, isbn, rating, moment);
    }

    fn read(&mut self, text: &str) -> f64 {
        let Some(written) = dates::read(text) else {
            self.unread.odd += 1;
            if self.unread.odd == 1 {
                self.unread.odd_example = text.to_owned();
            }
            return f64::NEG_INFINITY;
        };
        self.evidence.add(written);
        if let Some(moment) = written.seconds(DateOrder::Auto) {
            return moment;
        }
        if self.doubtful.is_empty() {
            self.unread.doubtful_example = text.to_owned();
        }
        self.doubtful.push((self.rating.len(), written));
        f64::NEG_INFINITY
    }

    /// Adds a row. `rating` is NaN for "read, not rated"; `moment` grows with time, and is minus
    /// infinity if the time is unknown.
    pub fn push(&mut self, user: UserRef<'_>, isbn: &str, rating: f32, moment: f64) {
        let before = self.rating.len();
        match user {
            UserRef::Integer(id) => {
                self.user_integer.append_value(id);
                if let Some(texts) = &mut self.user_text {
                    texts.append_null();
                }
            }
            UserRef::Text(id) => {
                self.user_integer.append_null();
                let texts = self.user_text.get_or_insert_with(|| {
                    let mut texts = StringChunkedBuilder::new("user_text".into(), before);
                    (0..before).for_each(|_| texts.append_null());
                    texts
                });
                texts.append_value(id);
            }
        }
        self.isbn.append_value(isbn);
        self.rating.push(rating);
        if moment.is_finite() || !self.moment.is_empty() {
            self.moment.resize(before, f64::NEG_INFINITY);
            self.moment.push(moment);
        }
        if !self.weight.is_empty() {
            self.weight.push(1.0);
        }
    }

    /// Says how much the last row counts, beside others that count 1.
    pub fn weigh_last(&mut self, weight: f32) {
        if weight != 1.0 || !self.weight.is_empty() {
            self.weight.resize(self.rating.len(), 1.0);
            self.weight.last_mut().into_iter().for_each(|last| *last = weight);
        }
    }

    /// The columns as a frame. Dates are read as `order` says, or else as most of the column does.
    pub(super) fn into_frame(mut self, order: DateOrder) -> PolarsResult<RatingFrame> {
        let order = if order == DateOrder::Auto { self.evidence.order() } else { order };
        if !self.doubtful.is_empty() {
            self.moment.resize(self.rating.len(), f64::NEG_INFINITY);
        }
        for (row, written) in &self.doubtful {
            match written.seconds(order) {
                Some(moment) => self.moment[*row] = moment,
                None => self.unread.doubtful += 1,
            }
        }
        let mut columns = vec![
            self.user_integer.finish().into_column(),
            self.isbn.finish().into_column(),
            Column::new("rating".into(), self.rating),
        ];
        columns.extend(self.user_text.map(|texts| texts.finish().into_column()));
        if !self.moment.is_empty() {
            columns.push(Column::new("moment".into(), self.moment));
        }
        if !self.weight.is_empty() {
            columns.push(Column::new("weight".into(), self.weight));
        }
        Ok(RatingFrame { frame: DataFrame::new_infer_height(columns)?, unread_times: self.unread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(times: &[&str], order: DateOrder) -> (Vec<f64>, UnreadTimes) {
        let mut columns = RatingColumns::default();
        for time in times {
            columns.push_at(UserRef::Integer(1), "x", 5.0, Time::Text(time));
        }
        let RatingFrame { frame, unread_times } = columns.into_frame(order).expect("a frame");
        let moments = frame.column("moment").map_or(Vec::new(), |column| {
            column.f64().expect("numbers").iter().map(|moment| moment.expect("a number")).collect()
        });
        (moments, unread_times)
    }

    #[test]
    fn doubtful_dates_are_read_as_the_column_says() {
        let april_third = 1_712_102_400.0;
        let (read, unread) = moments(&["03/04/2024", "25/04/2024"], DateOrder::Auto);
        assert_eq!(
            (read[0], unread),
            (april_third, UnreadTimes { doubtful_example: "03/04/2024".into(), ..UnreadTimes::default() })
        );
        let (read, unread) = moments(&["2024-01-01", "03/04/2024", "soon", ""], DateOrder::Auto);
        assert_eq!(
            (read[1], unread.doubtful, unread.odd, unread.odd_example.as_str()),
            (f64::NEG_INFINITY, 1, 1, "soon")
        );
        let (read, unread) = moments(&["03/04/2024"], DateOrder::DayFirst);
        assert_eq!((read[0], unread.doubtful), (april_third, 0));
        assert!(moments(&["", "  "], DateOrder::Auto).0.is_empty());
    }
}
