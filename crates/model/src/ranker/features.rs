//! The table of features: what a [`super::Ranker`] is told of a user and a candidate.

/// A number for a user and a candidate item. All logarithms are of 1 + n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Feature {
    Factors,
    Neighbours,
    FactorsRank,
    NeighboursRank,
    Product,
    Sum,
    Readers,
    Activity,
    OwnOfAuthor,
    AuthorShare,
    HasAuthor,
    OwnOfPublisher,
    Nearest,
    Supporters,
    UsualReaders,
    Unusual,
    Recent15,
    Recent30,
    Recent90,
    Recent180,
    Recent365,
    Age,
    LanguageShare,
    Idle,
    TitleWords,
    Subjects,
    Newer,
    YearDistance,
    AuthorReaders,
    Attributes,
    OwnOfSeries,
    NextInSeries,
}

/// How many there are.
pub const COUNT: usize = ALL.len();

/// Each feature in its place, its name, and what it is.
pub const ALL: [(Feature, &str, &str); 32] = [
    (Feature::Factors, "factors", "score by factors, as a z-score among all of the reader's scores"),
    (Feature::Neighbours, "neighbours", "score by neighbours, as a z-score"),
    (Feature::FactorsRank, "factors rank", "log of the rank by factors among the candidates"),
    (Feature::NeighboursRank, "neighbours rank", "log of the rank by neighbours"),
    (Feature::Product, "product", "score by factors: 1 is what a book that was read is fitted to"),
    (Feature::Sum, "sum", "score by neighbours, the sum of the weights of the reader's books"),
    (Feature::Readers, "readers", "log of the book's readers"),
    (Feature::Activity, "activity", "log of the reader's books"),
    (Feature::OwnOfAuthor, "own of author", "log of the reader's books by this author"),
    (Feature::AuthorShare, "author share", "the share of the reader's books by this author"),
    (Feature::HasAuthor, "has author", "1 if the author is known and wrote other books here"),
    (Feature::OwnOfPublisher, "own of publisher", "log of the reader's books of this publisher"),
    (Feature::Nearest, "nearest", "the greatest weight of one of the reader's books"),
    (Feature::Supporters, "supporters", "log of the reader's books that are neighbours of this one"),
    (Feature::UsualReaders, "usual readers", "the mean of `readers` over the reader's books"),
    (Feature::Unusual, "unusual", "`readers` less `usual readers`"),
    (Feature::Recent15, "recent 15", "log of the readers, each counted half after 15 days"),
    (Feature::Recent30, "recent 30", "the same after 30 days"),
    (Feature::Recent90, "recent 90", "after 90 days"),
    (Feature::Recent180, "recent 180", "after 180 days"),
    (Feature::Recent365, "recent 365", "after 365 days"),
    (Feature::Age, "age", "log of the days since the book was first read here"),
    (Feature::LanguageShare, "language share", "the share of the reader's books in the book's language"),
    (Feature::Idle, "idle", "log of the days since the reader last read anything"),
    (
        Feature::TitleWords,
        "title words",
        "log of how many of the reader's books have the words of this title (TF-IDF, cosine)",
    ),
    (Feature::Subjects, "subjects", "the same mean of subjects and descriptions"),
    (
        Feature::Newer,
        "newer",
        "years that the book is newer than the reader's books on average; 0 if that is unknown",
    ),
    (Feature::YearDistance, "year distance", "log of these years, be it newer or older"),
    (Feature::AuthorReaders, "author readers", "log of the mean readers of the author's books that have any"),
    (
        Feature::Attributes,
        "attributes",
        "log of how much more often readers of the same country, age and so on read it",
    ),
    (Feature::OwnOfSeries, "own of series", "log of the reader's books of the book's series"),
    (
        Feature::NextInSeries,
        "next in series",
        "1 if it is the first volume that the reader, who has begun, has not read",
    ),
];
