//! Tables of an unknown database, and what leads from one to another.

/// A table or view, and its first rows.
#[derive(Clone, Debug, Default)]
pub struct SampledTable {
    /// As the schema spells it.
    pub name: String,
    /// Whether it only shows what other tables have.
    pub is_view: bool,
    /// Of the whole table, not of the sample.
    pub rows: u64,
    /// As the schema spells them.
    pub columns: Vec<String>,
    /// Some of its rows, a text for each column; `None` for NULL and blobs.
    pub sample: Vec<Vec<Option<String>>>,
    /// Foreign keys: own column, other table, and its column (empty if not declared).
    pub references: Vec<(String, String, String)>,
}

impl SampledTable {
    /// The sampled values of one column, without those that are missing.
    pub fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        self.sample.iter().filter_map(move |row| row.get(column)?.as_deref())
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub table: String,
    pub column: String,
}

/// A table that is reached over one of its columns, which equals a column of a table before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub table: String,
    pub column: String,
    pub from: Place,
}
