//! Written times, in the forms that databases, languages and people give them.
//!
//! `03/04/2024` is read by its column: another row of it, `25/04/2024`, says that days come first.

use chrono::{NaiveDate, NaiveTime};

use crate::config::DateOrder;

/// A written time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written {
    /// Either in no doubt, or a bare number, in whatever unit it counts.
    At(f64),
    /// The day comes first, since no month has that number; or the month does.
    DayFirst(f64),
    MonthFirst(f64),
    /// Only the column can tell.
    Either {
        day_first: f64,
        month_first: f64,
    },
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads a time; `None` if it is none.
///
/// Understood are bare numbers and, in any order of their parts, dates (`2024-06-01`, `2024/6/1`, `01.06.2024`,
/// `6/1/2024`, `1 Jun 2024`, `June 1st, 2024`), times of day (`10:00`, `10:00:00.5`, `9:05 pm`) and zones (`Z`, `UTC`,
/// `+02:00`, `+0200`, `GMT+0200 (CEST)`), as SQLite, RFC 3339 and RFC 2822, C, JavaScript, Ruby and Go write them.
pub fn read(text: &str) -> Option<Written> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(Written::At(number));
    }
    // Go adds its own clock, JavaScript the name of the zone.
    let text = text.split(" m=").next().unwrap_or(text);
    let text = text.split('(').next().unwrap_or(text).trim_end();
    // Most columns: 2024-06-01 10:00:00.
    let bytes = text.as_bytes();
    if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && text.is_char_boundary(10) {
        let seconds = date_of(&text[..10])?;
        let rest = text[10..].trim_start_matches(['T', 't', ' ']);
        return Some(seconds.plus(time_and_zone(rest.split_whitespace())?));
    }
    let mut date: Vec<&str> = Vec::new();
    let mut clock: Vec<&str> = Vec::new();
    for word in text.split([' ', ',', '\t', '\u{a0}', '\u{202f}']).filter(|word| !word.is_empty()) {
        let is_of_clock = word.contains(':') || !clock.is_empty() && is_zone_or_half(word);
        match word {
            word if is_named(word, &WEEKDAYS).is_some() => {}
            word if is_of_clock => match word.split_once(['T', 't']) {
                // 2024/06/01T10:00
                Some((day, time)) if day.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit()) => {
                    date.push(day);
                    clock.push(time);
                }
                _ => clock.push(word),
            },
            word => date.push(word),
        }
    }
    let seconds = match date.as_slice() {
        [date] => date_of(date)?,
        [a, b, c] => of_parts([a, b, c], '-')?,
        _ => return None,
    };
    Some(seconds.plus(time_and_zone(clock.into_iter())?))
}

impl Written {
    fn plus(self, seconds: f64) -> Self {
        match self {
            Self::At(at) => Self::At(at + seconds),
            Self::DayFirst(at) => Self::DayFirst(at + seconds),
            Self::MonthFirst(at) => Self::MonthFirst(at + seconds),
            Self::Either { day_first, month_first } => {
                Self::Either { day_first: day_first + seconds, month_first: month_first + seconds }
            }
        }
    }

    /// Its seconds, if days or months come first; `None` if that is not known and matters.
    pub fn seconds(self, order: DateOrder) -> Option<f64> {
        match (self, order) {
            (Self::At(at) | Self::DayFirst(at) | Self::MonthFirst(at), _) => Some(at),
            (Self::Either { day_first, .. }, DateOrder::DayFirst) => Some(day_first),
            (Self::Either { month_first, .. }, DateOrder::MonthFirst) => Some(month_first),
            (Self::Either { day_first, month_first }, DateOrder::Auto) => {
                (day_first == month_first).then_some(day_first)
            }
        }
    }
}

/// What the dates of a column say about their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence {
    day_first: u64,
    month_first: u64,
}

impl Evidence {
    pub fn add(&mut self, written: Written) {
        match written {
            Written::DayFirst(_) => self.day_first += 1,
            Written::MonthFirst(_) => self.month_first += 1,
            _ => {}
        }
    }

    /// The order; `auto` if the column has both, or neither.
    pub fn order(self) -> DateOrder {
        match (self.day_first, self.month_first) {
            (1.., 0) => DateOrder::DayFirst,
            (0, 1..) => DateOrder::MonthFirst,
            _ => DateOrder::Auto,
        }
    }
}

fn is_named(word: &str, names: &[&str]) -> Option<usize> {
    let word = word.trim_end_matches('.').to_ascii_lowercase();
    let is = |name: &&str| {
        word.len() >= 3 && word.starts_with(*name) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    names.iter().position(is)
}

fn is_zone_or_half(word: &str) -> bool {
    matches!(word.to_ascii_uppercase().as_str(), "AM" | "PM" | "A.M." | "P.M.") || zone(word).is_some()
}

/// A date in one word.
fn date_of(word: &str) -> Option<Written> {
    let mark = word.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
    let mut parts = word.split(mark);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    // Before a year in four digits, or behind one.
    parts.next().is_none().then_some(())?;
    of_parts(three, mark)
}

/// A date in three parts; `mark` stood between them.
fn of_parts(parts: [&str; 3], mark: char) -> Option<Written> {
    let month =
        parts.iter().enumerate().find_map(|(place, part)| Some((place, is_named(part, &MONTHS)? as u32 + 1)));
    let number = |part: &str| -> Option<u32> {
        let digits = part.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let is_day = matches!(&part[digits.len()..], "" | "st" | "nd" | "rd" | "th");
        (is_day && digits.len() <= 4).then(|| digits.parse().ok()).flatten()
    };
    if let Some((place, month)) = month {
        let others: Vec<&str> = (0..3).filter(|other| *other != place).map(|other| parts[other]).collect();
        let (day, year) = if others[0].len() == 4 { (others[1], others[0]) } else { (others[0], others[1]) };
        return at(year_of(year)?, month, number(day)?).map(Written::At);
    }
    let [a, b, c] = [number(parts[0])?, number(parts[1])?, number(parts[2])?];
    if parts[0].len() == 4 {
        return at(a as i32, b, c).map(Written::At);
    }
    let year = year_of(parts[2])?;
    let (day_first, month_first) = (at(year, b, a), at(year, a, b));
    match (day_first, month_first, mark) {
        (Some(day_first), _, '.') => Some(Written::At(day_first)),
        (_, _, '.') => None,
        (Some(day_first), Some(month_first), _) => Some(Written::Either { day_first, month_first }),
        (Some(day_first), None, _) => Some(Written::DayFirst(day_first)),
        (None, Some(month_first), _) => Some(Written::MonthFirst(month_first)),
        (None, None, _) => None,
    }
}

/// Two digits are a year from 1970 to 2069.
fn year_of(part: &str) -> Option<i32> {
    let year: i32 = part.trim_start_matches('\'').parse().ok()?;
    match part.len() {
        4 => Some(year),
        2 => Some(if year < 70 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

fn at(year: i32, month: u32, day: u32) -> Option<f64> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp() as f64)
}

/// Seconds since midnight in UTC of a time of day and its zone, in words; midnight if there are none.
fn time_and_zone<'a>(words: impl Iterator<Item = &'a str>) -> Option<f64> {
    let (mut seconds, mut offset, mut half, mut has_offset) = (0.0, 0.0, None, false);
    for (place, word) in words.enumerate() {
        if place == 0 {
            let end = word.find(['+', '-', 'Z', 'z']).unwrap_or(word.len());
            let (time, rest) = word.split_at(end);
            let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            half = half_of(&time[digits.len()..])?;
            seconds = clock(digits)?;
            if !rest.is_empty() {
                offset = zone(rest)?;
            }
        } else if let Some(found) = zone(word) {
            // `+0200 UTC`, as Go writes: the number says it.
            offset = if found == 0.0 { offset } else { found };
            has_offset |= word.starts_with(['+', '-']);
        } else if has_offset && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
            // The zone's name behind it.
        } else {
            half = Some(half_of(word)??);
        }
    }
    match half {
        Some(_) if !(3600.0..46_800.0).contains(&seconds) => return None,
        Some(is_after) => seconds = seconds % 43_200.0 + if is_after { 43_200.0 } else { 0.0 },
        None => {}
    }
    Some(seconds - offset)
}

/// Whether it is after noon; inner `None` for no word, outer for another one.
#[allow(clippy::option_option)]
fn half_of(word: &str) -> Option<Option<bool>> {
    match word.to_ascii_uppercase().as_str() {
        "" => Some(None),
        "AM" | "A.M." => Some(Some(false)),
        "PM" | "P.M." => Some(Some(true)),
        _ => None,
    }
}

/// `10:00`, `10:00:00`, `10:00:00.5`, in seconds.
fn clock(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let (hours, minutes) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    let seconds = parts.next().map_or(Some(0.0), |seconds| seconds.replace(',', ".").parse::<f64>().ok())?;
    let is_time = hours < 24 && minutes < 60 && (0.0..61.0).contains(&seconds) && parts.next().is_none();
    is_time.then(|| f64::from(hours * 3600 + minutes * 60) + seconds)
}

/// Seconds by which a zone is ahead of UTC.
fn zone(word: &str) -> Option<f64> {
    let word = word.to_ascii_uppercase();
    let number = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let is_utc = matches!(&word[..word.len() - number.len()], "" | "Z" | "UTC" | "GMT" | "UT");
    if !is_utc || word.is_empty() {
        return None;
    }
    if number.is_empty() {
        return Some(0.0);
    }
    let sign = match number.as_bytes()[0] {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let digits: String = number[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 if digits.is_ascii() => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours <= 15 && minutes < 60).then(|| sign * f64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2024-06-01 10:00:00 UTC.
    const THEN: f64 = 1_717_236_000.0;

    #[test]
    fn times_in_every_common_form_are_the_same_moment() {
        for text in [
            "1717236000",
            "2024-06-01 10:00",
            "2024-06-01 10:00:00",
            "2024-06-01 10:00:00.000",
            "2024-06-01T10:00:00Z",
            "2024-06-01T10:00:00.000Z",
            "2024-06-01T12:00:00+02:00",
            "2024-06-01 10:00:00.000 +00:00",
            "2024-06-01 10:00:00 UTC",
            "2024-06-01 12:00:00 +0200",
            "2024-06-01 03:00:00-07",
            "2024/06/01 10:00:00",
            "2024/6/1T10:00",
            "01.06.2024 10:00",
            "1.6.24 10:00",
            "1 Jun 2024 10:00",
            "June 1st, 2024 10:00 AM",
            "01-Jun-2024 10:00:00",
            "Sat, 01 Jun 2024 10:00:00 GMT",
            "Sat, 1 Jun 2024 12:00:00 +0200",
            "Sat Jun  1 10:00:00 2024",
            "Sat Jun 01 03:00:00 -0700 2024",
            "Sat Jun 01 2024 12:00:00 GMT+0200 (Central European Summer Time)",
            "2024-06-01 10:00:00 +0000 UTC",
            "2024-06-01 10:00:00.000000 +0000 UTC m=+0.000012",
            "2024-06-01 12:00:00 +0200 CEST m=+0.5",
        ] {
            assert_eq!(read(text), Some(Written::At(THEN)), "{text:?}");
        }
        assert_eq!(read("6/13/2024 9:05 pm"), Some(Written::MonthFirst(1_718_312_700.0)));
        assert_eq!(read("12:30").map(|_| ()), None);
        assert_eq!(read("1970-01-02T00:00:01.5Z"), Some(Written::At(86_401.5)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for nonsense in [
            "",
            "soon",
            "NaN",
            "inf",
            "2024-13-45",
            "2024-02-30",
            "31.02.2024",
            "25:00",
            "2024-06-01 25:00",
            "1/2",
            "2024-06-01 10:00 o'clock",
            "2024-06-01 10:00 CEST",
            "99/99/2024",
            "2024-06-01 13:00 pm",
            "May",
            "1 2 3 4",
            "a-b-c",
            "é-06-2024",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_column_tells_which_comes_first() {
        let (may, doubtful) = (read("13/05/2024").expect("a date"), read("03/04/2024").expect("a date"));
        let mut evidence = Evidence::default();
        evidence.add(doubtful);
        assert_eq!((evidence.order(), doubtful.seconds(evidence.order())), (DateOrder::Auto, None));
        evidence.add(may);
        assert_eq!(doubtful.seconds(evidence.order()), at(2024, 4, 3));
        evidence.add(read("05/13/2024").expect("a date"));
        assert_eq!(evidence.order(), DateOrder::Auto, "a column of both kinds");
        assert_eq!(read("04/04/2024").expect("a date").seconds(DateOrder::Auto), at(2024, 4, 4));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[0-9a-zA-Z:/.,+ ()é-]{0,40}", any in any::<String>()) {
            let _ = (read(&text), read(&any));
        }

        #[test]
        fn every_moment_comes_back(seconds in 0i64..4_000_000_000) {
            let time = chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
            for form in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%a, %d %b %Y %H:%M:%S +0000", "%d.%m.%Y %H:%M:%S", "%c"] {
                let text = time.format(form).to_string();
                prop_assert_eq!(read(&text), Some(Written::At(seconds as f64)), "{}", text);
            }
        }
    }
}
