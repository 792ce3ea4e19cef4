//! The shape of a table: the text of its `CREATE` statements, as SQLite stores it.
//!
//! A new set takes the shape that the application, or an ORM, has given to the published tables. So the
//! statements are run again under other names; nothing else in them is parsed or changed, except to remove
//! `STRICT`.

use rusqlite::Connection;

use crate::database::quote;
use crate::error::{Error, Kind, Result};

/// A table with its indexes and triggers, whatever their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As the schema spells it.
    pub table: String,
    /// What follows the table's name in its statement: columns, constraints, options.
    pub body: String,
    /// In order of creation.
    pub indexes: Vec<Index>,
    /// In order of creation.
    pub triggers: Vec<Trigger>,
}

/// An index from a `CREATE INDEX` statement, not one of a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// As the schema spells it.
    pub name: String,
    is_unique: bool,
    /// What follows the table's name: columns or expressions, and the condition on rows.
    body: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// As the schema spells it.
    pub name: String,
    /// The whole statement, which names the table.
    pub sql: String,
}

impl Shape {
    /// The shape of a table; `None` if there is nothing of that name.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is a view or a virtual table, which cannot be exchanged.
    pub fn find(connection: &Connection, table: &str) -> Result<Option<Self>> {
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema \
                   WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([table])?;
        let (mut shape, mut indexes, mut triggers) = (None, Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let (own, sql): (String, String) = (row.get(2)?, row.get(3)?);
            let not_a_table = || {
                Error::new(Kind::Config, format!("{name} is no ordinary table: {sql}"))
                    .hint(format!("rename it: nightshelf writes its own table of the name {table}"))
            };
            match kind.as_str() {
                "index" => indexes.push(Index::parse(name.clone(), &sql).ok_or_else(not_a_table)?),
                "trigger" => triggers.push(Trigger { name, sql }),
                _ => {
                    let body = Self::parse(&sql).filter(|_| kind == "table").ok_or_else(not_a_table)?;
                    shape = Some(Self { table: own, body, indexes: Vec::new(), triggers: Vec::new() });
                }
            }
        }
        Ok(shape.map(|shape| Self { indexes, triggers, ..shape }))
    }

    /// The shape from one of our own `CREATE TABLE` statements; comments may come before it.
    pub fn of_definition(table: &str, sql: &str) -> Self {
        let sql = sql[sql.find("CREATE").unwrap_or_default()..].trim_end();
        let body = Self::parse(sql).unwrap_or_default();
        Self { table: table.to_owned(), body, indexes: Vec::new(), triggers: Vec::new() }
    }

    /// What follows the name in a `CREATE TABLE` statement; `None` for any other statement.
    fn parse(sql: &str) -> Option<String> {
        let (word, rest) = word(sql)?;
        let (kind, rest) = self::word(rest)?;
        let is_table = word.eq_ignore_ascii_case("create") && kind.eq_ignore_ascii_case("table");
        let (_, rest) = is_table.then(|| self::word(rest))??;
        Some(rest.to_owned())
    }

    /// The statement that makes such a table under another name, without its indexes.
    pub fn create(&self, schema: &str, name: &str) -> String {
        format!("CREATE TABLE {schema}.{}{}", quote(name), self.body)
    }

    /// The same shape without `STRICT` and without the type `ANY`. A program with an older SQLite cannot open
    /// a database that has them. Outside a `STRICT` table `ANY` would turn `'007'` into 7; a column without a
    /// type stores values as they are.
    pub fn without_strict(mut self) -> Self {
        self.body = without_strict(&self.body);
        self
    }

    /// Whether the table is `STRICT` and a column has the type `ANY`.
    pub fn has_any(&self) -> bool {
        let typed = |text: &str| tokens(text).filter(|token| token.is("any")).count();
        typed(&without_strict(&self.body)) < typed(&self.body)
    }

    /// The same shape with the other's text, if the two texts differ only in white space and comments.
    pub fn in_the_words_of(self, other: &Self) -> Self {
        let said = |text: &str| -> Vec<String> {
            let all = tokens(text).filter(|token| !matches!(token, Token::Space(_)));
            all.map(|token| token.text().to_owned()).collect()
        };
        match said(&self.body) == said(&other.body) {
            true => Self { body: other.body.clone(), ..self },
            false => self,
        }
    }

    pub fn is_strict(&self) -> bool {
        without_strict(&self.body) != self.body
    }

    /// Whether two tables accept and return the same, whatever they and their indexes are called.
    pub fn is_like(&self, other: &Self) -> bool {
        let indexes = |shape: &Self| {
            let mut bodies: Vec<(bool, String)> =
                shape.indexes.iter().map(|index| (index.is_unique, index.body.clone())).collect();
            bodies.sort();
            bodies
        };
        self.body == other.body && indexes(self) == indexes(other)
    }

    /// The first statement that names the table before a column (`WHERE recommendations.rank = 1`), and the
    /// same statement with the column alone. SQLite cannot rename a table with such a statement.
    pub fn naming_itself(&self) -> Option<(String, String)> {
        let whole = |body: &str| format!("CREATE TABLE {}{body}", self.table);
        let table = std::iter::once((whole(&self.body), whole(&without_qualifier(&self.body, &self.table))));
        let indexes = self.indexes.iter().map(|index| {
            let plain = Index { body: without_qualifier(&index.body, &self.table), ..index.clone() };
            let create = |index: &Index| index.create("main", &index.name, &self.table);
            (create(index), create(&plain))
        });
        table.chain(indexes).find(|(before, after)| before != after)
    }
}

impl Index {
    fn parse(name: String, sql: &str) -> Option<Self> {
        let (create, rest) = word(sql)?;
        let (kind, rest) = word(rest)?;
        let is_unique = kind.eq_ignore_ascii_case("unique");
        let (kind, rest) = if is_unique { word(rest)? } else { (kind, rest) };
        let (_, rest) = word(rest)?;
        let (on, rest) = word(rest)?;
        let (_, rest) = word(rest)?;
        let is_index = create.eq_ignore_ascii_case("create")
            && kind.eq_ignore_ascii_case("index")
            && on.eq_ignore_ascii_case("on");
        is_index.then(|| Self { name, is_unique, body: rest.to_owned() })
    }

    /// The statement that makes such an index under another name, on another table.
    pub fn create(&self, schema: &str, name: &str, table: &str) -> String {
        let unique = if self.is_unique { "UNIQUE " } else { "" };
        format!("CREATE {unique}INDEX {schema}.{} ON {}{}", quote(name), quote(table), self.body)
    }
}

/// A token of SQL text, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// White space or a comment.
    Space(&'a str),
    /// A keyword; a name, quoted in any of SQLite's ways; or a string literal, which SQLite may take for a
    /// name.
    Word(&'a str),
    /// One other character.
    Mark(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Space(text) | Token::Word(text) | Token::Mark(text) => text,
        }
    }

    /// Whether it is this name, in any case, quoted or not.
    fn is(self, name: &str) -> bool {
        matches!(self, Token::Word(text) if unquoted(text).eq_ignore_ascii_case(name))
    }
}

/// The first token, and what follows it; `None` at the end.
fn token(sql: &str) -> Option<(Token<'_>, &str)> {
    let first = sql.chars().next()?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let upto = |at: Option<usize>| sql.split_at(at.unwrap_or(sql.len()));
    Some(match first {
        c if c.is_ascii_whitespace() => {
            let (space, rest) = upto(sql.find(|c: char| !c.is_ascii_whitespace()));
            (Token::Space(space), rest)
        }
        '-' if sql.starts_with("--") => {
            let (space, rest) = upto(sql.find('\n').map(|at| at + 1));
            (Token::Space(space), rest)
        }
        '/' if sql.starts_with("/*") => {
            let (space, rest) = upto(sql[2..].find("*/").map(|at| at + 4));
            (Token::Space(space), rest)
        }
        '"' | '`' | '\'' | '[' => {
            let (word, rest) = upto(end_of_quoted(sql, if first == '[' { ']' } else { first }));
            (Token::Word(word), rest)
        }
        c if is_part(c) => {
            let (word, rest) = upto(sql.find(|c| !is_part(c)));
            (Token::Word(word), rest)
        }
        c => {
            let (mark, rest) = sql.split_at(c.len_utf8());
            (Token::Mark(mark), rest)
        }
    })
}

/// Where a quoted text ends; a doubled quote does not end it.
fn end_of_quoted(sql: &str, close: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += sql[at..].find(close)? + 1;
        if close == ']' || !sql[at..].starts_with(close) {
            return Some(at);
        }
        at += 1;
    }
}

fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        let (token, after) = token(rest)?;
        rest = after;
        Some(token)
    })
}

/// The next word, and what follows it.
fn word(sql: &str) -> Option<(&str, &str)> {
    let mut rest = sql;
    loop {
        match token(rest)? {
            (Token::Space(_), after) => rest = after,
            (Token::Word(word), after) => return Some((word, after)),
            (Token::Mark(_), _) => return None,
        }
    }
}

fn unquoted(word: &str) -> String {
    let within = |open: char, close: char| word.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let quoted = ['"', '`', '\''].into_iter().find_map(|quote| {
        within(quote, quote).map(|name| name.replace(&format!("{quote}{quote}"), &quote.to_string()))
    });
    quoted.or_else(|| within('[', ']').map(str::to_owned)).unwrap_or_else(|| word.to_owned())
}

/// The text without `name.` before columns.
fn without_qualifier(sql: &str, name: &str) -> String {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    let is_space = |token: &&Token<'_>| matches!(token, Token::Space(_));
    let mut text = String::with_capacity(sql.len());
    let mut at = 0;
    while at < all.len() {
        let dot = at + 1 + all[at + 1..].iter().take_while(is_space).count();
        if all[at].is(name) && all.get(dot) == Some(&Token::Mark(".")) {
            at = dot + 1;
        } else {
            text.push_str(all[at].text());
            at += 1;
        }
    }
    text
}

/// A table's body without the option `STRICT` and the type `ANY`; unchanged if the table is not strict.
fn without_strict(body: &str) -> String {
    let all: Vec<Token<'_>> = tokens(body).collect();
    let end = all.iter().rposition(|token| *token == Token::Mark(")")).map_or(all.len(), |at| at + 1);
    let (columns, options) = all.split_at(end);
    if !options.iter().any(|option| option.is("strict")) {
        return body.to_owned();
    }
    let (mut text, mut depth, mut words) = (String::with_capacity(body.len()), 0, 0);
    for token in columns {
        match token {
            Token::Mark("(") => depth += 1,
            Token::Mark(")") => depth -= 1,
            _ => {}
        }
        match token {
            Token::Mark("(" | ",") if depth == 1 => words = 0,
            Token::Word(_) => words += 1,
            _ => {}
        }
        // The second word of a column's definition is its type.
        if !(depth == 1 && words == 2 && token.is("any")) {
            text.push_str(token.text());
        }
    }
    if options.iter().any(|option| option.is("without")) {
        text.push_str(" WITHOUT ROWID");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_made_again_however_they_quote() {
        let table = |sql: &str| {
            Shape::parse(sql).map(|body| Shape { body, ..Shape::of_definition("t", "") }.create("main", "n"))
        };
        for (sql, again) in [
            ("CREATE TABLE t(a)", "CREATE TABLE main.\"n\"(a)"),
            ("CREATE TABLE \"a \"\"t\"(a)", "CREATE TABLE main.\"n\"(a)"),
            ("CREATE TABLE [t t] (a)", "CREATE TABLE main.\"n\" (a)"),
        ] {
            assert_eq!(table(sql).as_deref(), Some(again), "{sql}");
        }
        for sql in ["CREATE VIEW v AS SELECT 1", "CREATE TABLE", "CREATE VIRTUAL TABLE t USING fts5(a)"] {
            assert_eq!(table(sql), None, "{sql}");
        }
        let index = |sql: &str| Index::parse("i".into(), sql).map(|index| index.create("main", "n", "m"));
        for (sql, again) in [
            ("CREATE INDEX i ON t(a)", "CREATE INDEX main.\"n\" ON \"m\"(a)"),
            ("CREATE UNIQUE INDEX `i i`\n  on 't' (a)", "CREATE UNIQUE INDEX main.\"n\" ON \"m\" (a)"),
            ("CREATE INDEX /* why */ i -- so\n ON t(a)", "CREATE INDEX main.\"n\" ON \"m\"(a)"),
        ] {
            assert_eq!(index(sql).as_deref(), Some(again), "{sql}");
        }
        assert_eq!(index("CREATE INDEX i"), None);
    }

    #[test]
    fn names_are_read_whatever_is_wrong_with_them() {
        for (word, name) in [
            ("a", "a"),
            ("\"a\"\"b\"", "a\"b"),
            ("[a b]", "a b"),
            ("\"é", "\"é"),
            ("'", "'"),
            ("[本", "[本"),
            ("``", ""),
        ] {
            assert_eq!(unquoted(word), name);
            assert_eq!(tokens(word).map(Token::text).collect::<String>(), word);
        }
    }

    #[test]
    fn a_table_that_names_itself_is_found_and_told_what_to_write() {
        for (sql, plain) in [
            ("(a CHECK (t.a > 0))", Some("(a CHECK (a > 0))")),
            ("(a CHECK (\"T\" . a > 't.a'))", Some("(a CHECK ( a > 't.a'))")),
            ("(a CHECK (other.a > 0), t TEXT) /* t.a */", None),
        ] {
            let found = Some(without_qualifier(sql, "t")).filter(|found| found != sql);
            assert_eq!(found.as_deref(), plain, "{sql}");
        }
    }

    #[test]
    fn strict_tables_become_ordinary_ones_that_keep_what_they_get() {
        for (strict, ordinary) in [
            (
                "(user_id ANY NOT NULL, -- ANY\n rank INTEGER) STRICT, WITHOUT ROWID",
                "(user_id  NOT NULL, -- ANY\n rank INTEGER) WITHOUT ROWID",
            ),
            ("(k TEXT CHECK (any > 1)) strict", "(k TEXT CHECK (any > 1))"),
            ("(k ANY) WITHOUT ROWID, STRICT", "(k ) WITHOUT ROWID"),
            ("(k ANY) WITHOUT ROWID", "(k ANY) WITHOUT ROWID"),
        ] {
            assert_eq!(without_strict(strict), ordinary);
        }
    }
}
