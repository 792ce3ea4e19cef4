//! All output of the program: nothing else in the crate prints.
//!
//! stdout is data, stderr is for people. On a terminal a stage shows a bar that goes away; in a
//! log it leaves one plain line.

use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::text::{count, plain};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// One line per stage.
    #[default]
    Normal,
    /// One line per epoch, and details.
    Verbose,
}

/// Writes messages to stderr and data to stdout.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    verbosity: Verbosity,
    terminal: bool,
    colour: bool,
    paper: Paper,
}

/// Stdout: a terminal of some width, or a pipe or file (`None`), where lines may be of any length.
#[derive(Clone, Copy, Debug, Default)]
struct Paper {
    width: Option<u16>,
    colour: bool,
}

impl Paper {
    fn of_stdout(no_colour: bool) -> Self {
        let out = std::io::stdout();
        let width = terminal_size::terminal_size_of(&out).map(|(width, _)| width.0);
        Self { width, colour: out.is_terminal() && !no_colour }
    }
}

impl Console {
    /// A console on stderr, with colour where a terminal takes it and `NO_COLOR` is not set.
    pub fn new(verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { verbosity, terminal, colour: terminal && !no_colour, paper: Paper::of_stdout(no_colour) }
    }

    /// Shows nothing but errors: for library users and tests.
    pub fn silent() -> Self {
        Self { verbosity: Verbosity::Quiet, terminal: false, colour: false, paper: Paper::default() }
    }

    /// A line on stderr, unless quiet.
    pub fn say(&self, line: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.line(line.as_ref());
        }
    }

    /// A line about a step of a long stage, for a log; on a terminal, where a bar shows it, only if verbose.
    pub fn step(&self, line: impl AsRef<str>) {
        if self.terminal {
            self.detail(line);
        } else {
            self.say(line);
        }
    }

    /// A line on stderr, if verbose.
    pub fn detail(&self, line: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Verbose {
            self.line(line.as_ref());
        }
    }

    /// Something that may be wrong; shown unless quiet.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.say(format!("{} {}", self.paint("33", "warning:"), line.as_ref()));
    }

    /// The failure that ends the program; always shown.
    pub fn error(&self, error: &Error) {
        self.line(&format!("{} {error}", self.paint("31;1", "error:")));
        if let Some(hint) = error.next_step() {
            self.line(&format!("{} {hint}", self.paint("36", "what to do:")));
        }
    }

    /// Data for programs, on stdout.
    ///
    /// # Errors
    /// [`Kind::Io`] if stdout cannot be written.
    pub fn data(&self, text: &str) -> Result<()> {
        send(format!("{}\n", text.trim_end()).as_bytes())
    }

    /// Bytes for programs, on stdout.
    ///
    /// # Errors
    /// [`Kind::Failed`] if stdout is a terminal and these are no text; [`Kind::Io`] if it cannot be written.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        if !std::io::stdout().is_terminal() {
            return send(bytes);
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(Error::new(Kind::Failed, "this is not for a terminal to show")
                .hint("send it to a file with --out, or into another program with |"));
        };
        // Text from somebody's database must not act as a command to a terminal.
        let lines: String = text.lines().flat_map(|line| [plain(line), "\n".to_owned()]).collect();
        send(lines.as_bytes())
    }

    /// A heading for stdout, bold on a terminal.
    pub fn heading(&self, text: &str) -> String {
        paint(self.paper.colour, "1", text)
    }

    /// A table for stdout, no wider than a terminal there; `right` are the columns to align right.
    pub fn table(&self, header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        if let Some(width) = self.paper.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.set_header(header).add_rows(rows);
        for column in right {
            if let Some(column) = table.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    /// A bar of `total` steps that vanishes when dropped; nothing in a log. With a total of 0 it shows how
    /// many steps are done, and no time left.
    pub fn bar(&self, what: &str, total: u64) -> Bar {
        let template = match (total, self.colour) {
            (0, _) => "{spinner} {msg} {human_pos} {rate}",
            (_, true) => "{msg:12} {wide_bar:.cyan/dim} {human_pos}/{human_len} {rate}, {eta} left",
            (_, false) => "{msg:12} {wide_bar} {human_pos}/{human_len} {rate}, {eta} left",
        };
        self.drawn(what, template, total)
    }

    /// The elapsed time of a stage whose progress is unknown.
    pub fn spinner(&self, what: &str) -> Bar {
        self.drawn(what, "{spinner} {msg} {elapsed}", 0)
    }

    fn drawn(&self, what: &str, template: &str, total: u64) -> Bar {
        if !self.terminal || self.verbosity == Verbosity::Quiet {
            return Bar(ProgressBar::hidden());
        }
        let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = match state.per_sec() {
                    slow if slow < 10.0 => write!(out, "{slow:.1}/s"),
                    fast => write!(out, "{}/s", count(fast as u64)),
                };
            }));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    fn line(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        paint(self.colour, code, text)
    }
}

fn send(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A program that closed the pipe has read enough: that is no failure of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::new(Kind::Io, format!("cannot write to stdout: {error}"))),
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The progress of one stage; cleared from the terminal when dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Adds steps that are done.
    pub fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Sets how many steps are done.
    pub fn reach(&self, step: u64) {
        self.0.set_position(step);
    }

    /// Shows what is being done now.
    pub fn note(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_the_letters() {
        let rows = ["abcd", "本の", "e\u{301}tat"].map(|text| vec![text.to_owned(), "x".to_owned()]);
        let table = Console::silent().table(&["", ""], rows.to_vec(), &[]);
        // Two cells each for the wide ones, none for the accent.
        let before: Vec<usize> =
            table.lines().filter_map(|line| line.chars().position(|c| c == 'x')).collect();
        assert_eq!(before, [before[0], before[0] - 2, before[0] + 1], "{table}");
    }

    #[test]
    fn tables_are_no_wider_than_the_terminal() {
        let title = "The Restaurant at the End of the Universe, with a foreword";
        let table = |paper| {
            let console = Console { paper, ..Console::silent() };
            console.table(&["isbn", "title"], vec![vec!["9780345391810".into(), title.into()]], &[])
        };
        for width in [30, 44, 60] {
            let table = table(Paper { width: Some(width), colour: false });
            assert!(table.lines().all(|line| line.chars().count() <= width.into()), "{width}: {table}");
            assert!(table.contains("9780345391810") && table.contains("foreword"), "{width}: {table}");
        }
        // Into a pipe each row goes whole.
        assert!(table(Paper::default()).lines().any(|line| line.contains(title)));
    }

    #[test]
    fn only_headings_for_a_terminal_have_colours() {
        let heading = |colour| {
            Console { paper: Paper { width: None, colour }, ..Console::silent() }.heading("Reader 7")
        };
        assert_eq!(
            (heading(true).as_str(), heading(false).as_str()),
            ("\u{1b}[1mReader 7\u{1b}[0m", "Reader 7")
        );
    }
}
