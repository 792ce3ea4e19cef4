//! All that people see, and all that programs read.
//!
//! stdout is data, stderr is for people. On a terminal a stage shows a bar that goes away; in a
//! log it leaves one plain line. Nothing else in the crate prints.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// One line a stage.
    #[default]
    Normal,
    /// One line an epoch, and details.
    Verbose,
}

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    verbosity: Verbosity,
    terminal: bool,
    colour: bool,
}

impl Console {
    /// A console on stderr, with colour where a terminal takes it and `NO_COLOR` is not set.
    pub fn new(verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { verbosity, terminal, colour: terminal && !no_colour }
    }

    /// One that says nothing: for library users and tests.
    pub fn silent() -> Self {
        Self { verbosity: Verbosity::Quiet, terminal: false, colour: false }
    }

    /// A line for people.
    pub fn say(&self, line: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.line(line.as_ref());
        }
    }

    /// A line about a step of a long stage: on a terminal the bar tells, in a log this does.
    pub fn step(&self, line: impl AsRef<str>) {
        if self.terminal {
            self.detail(line);
        } else {
            self.say(line);
        }
    }

    /// A line for people who asked for details.
    pub fn detail(&self, line: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Verbose {
            self.line(line.as_ref());
        }
    }

    /// Something that may be wrong; said whatever the verbosity but quiet.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.say(format!("{} {}", self.paint("33", "warning:"), line.as_ref()));
    }

    /// The failure that ends the program: said always.
    pub fn error(&self, error: &Error) {
        self.line(&format!("{} {error}", self.paint("31;1", "error:")));
        if let Some(hint) = error.next_step() {
            self.line(&format!("{} {hint}", self.paint("36", "what to do:")));
        }
    }

    /// Data for programs, on stdout.
    pub fn data(&self, text: &str) {
        // A reader that closed the pipe has seen enough; that is no failure of ours.
        let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    }

    /// A heading in what people read.
    pub fn heading(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A bar of `total` steps that vanishes when dropped; nothing in a log.
    pub fn bar(&self, what: &str, total: u64) -> Bar {
        if !self.terminal || self.verbosity == Verbosity::Quiet {
            return Bar(ProgressBar::hidden());
        }
        let template = match (total, self.colour) {
            (0, _) => "{spinner} {msg} {human_pos}",
            (_, true) => "{msg:12} {bar:32.cyan/dim} {human_pos}/{human_len} {eta}",
            (_, false) => "{msg:12} {bar:32} {human_pos}/{human_len} {eta}",
        };
        let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    fn line(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Progress of one stage; cleared from the screen when dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Counts steps that are done.
    pub fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Says what is being done just now.
    pub fn note(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A count with thousands separators: 79,785.
pub fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().map_or_else(|_| "?".to_owned(), |number: u64| number.to_string());
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Text from a database as text only: control characters and escape sequences made harmless.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_in_threes() {
        assert_eq!(count(0u64), "0");
        assert_eq!(count(999u64), "999");
        assert_eq!(count(79_785usize), "79,785");
        assert_eq!(count(1_000_000usize), "1,000,000");
    }

    #[test]
    fn escape_sequences_in_titles_do_nothing() {
        assert!(!plain("a\u{1b}[31mb\n").contains(['\u{1b}', '\n']));
    }
}
