//! What a run did: the facts behind `--json`, `nightshelf_runs`, the gate, Prometheus, `runs` and the page.
//!
//! A field is optional if some kind of run lacks it or an earlier version did not write it; `None` is left
//! out of the JSON. In [`QualityFigures`], `null` means that a figure was asked for and has no value.

mod proof;

pub use proof::Proof;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Trains on all ratings and publishes a new set.
    #[default]
    Nightly,
    /// Folds in new and changed readers with the current model.
    Backfill,
    /// Publishes the set before the current one again.
    Rollback,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Not finished, or it died.
    #[default]
    Running,
    /// It published something.
    Published,
    /// There was nothing to do.
    Unchanged,
    /// The gate objected.
    Refused,
    Failed,
    /// A signal stopped it.
    Interrupted,
    /// It was asked to write nothing.
    DryRun,
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The result of a run, as `--json` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// `None` if nothing was to be written.
    pub run_id: Option<i64>,
    pub status: RunStatus,
    /// `cpu`, `cuda:N` or `vulkan:N`.
    pub device: String,
    #[serde(flatten)]
    pub counts: Counts,
    pub metrics: Metrics,
    pub timings: Timings,
    pub peak_memory_bytes: Option<u64>,
    /// Why a full night is due; only for a backfill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Vec<String>>,
}

/// A row of the history, the table `nightshelf_runs`.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    pub run_id: i64,
    pub kind: RunKind,
    pub status: RunStatus,
    #[serde(rename = "started_at", serialize_with = "rfc3339")]
    pub started: Option<DateTime<Utc>>,
    #[serde(rename = "finished_at", serialize_with = "rfc3339")]
    pub finished: Option<DateTime<Utc>>,
    /// The version of nightshelf.
    pub version: String,
    pub device: Option<String>,
    pub counts: Option<Counts>,
    pub metrics: Option<Metrics>,
    pub timings: Option<Timings>,
    pub error: Option<String>,
}

impl RunRecord {
    /// Whether it published something, or had no need to.
    pub fn is_good(&self) -> bool {
        matches!(self.status, RunStatus::Published | RunStatus::Unchanged)
    }
}

fn rfc3339<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_rfc3339()).serialize(serializer)
}

/// What a run read and wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub ratings: RatingCounts,
    /// Standard deviation of the ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Books with ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Books without ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_books: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<u64>,
}

/// Rows of the ratings table, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RatingCounts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// Of those kept, the ones with stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<u64>,
    /// Lost zeros of the ISBN were put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<u64>,
    /// Replaced by a newer rating of the same book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
    /// The key is no valid ISBN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<u64>,
}

/// Figures of the model, or of what a backfill changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Of the judged model, on held-out ratings.
    #[serde(flatten)]
    pub figures: Option<QualityFigures>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateMetrics>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Losses>,
    /// The final loss per rating, in training on all ratings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// λ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularization: Option<f64>,
    /// α₀.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved_weight: Option<f64>,
    /// γ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_exponent: Option<f64>,
    /// The share of the books that are in any list: of those to publish or, if the gate refused, of those it judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// The share of recommendations that come from popularity and not from the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub popular_share: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The peak memory up to the end of each stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub memory_bytes: BTreeMap<Stage, Option<u64>>,
    /// What was picked up since the set before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Only for a backfill.
    #[serde(flatten)]
    pub changes: Option<Changes>,
}

/// How good lists of length k and predicted stars are; see [`crate::RankingFigures`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityFigures {
    pub k: usize,
    pub rmse: Option<f64>,
    pub mae: Option<f64>,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub ndcg: Option<f64>,
    pub map: Option<f64>,
    pub mrr: Option<f64>,
    pub hit_rate: Option<f64>,
    #[serde(default)]
    pub liked: Option<f64>,
    #[serde(default)]
    pub novelty: Option<f64>,
}

/// The loss per rating after each epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// In training without the held-out ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Vec<f64>>,
    /// In training on all ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<f64>>,
}

/// What the gate compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateMetrics {
    /// What was measured: `nDCG@20` or `RMSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<String>,
    /// How many readers were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<f64>,
    /// The 95% interval of the model's figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The baseline's figure, if the baseline is [`Baseline::Popularity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub popularity: Option<f64>,
    /// The baseline's figure, if the baseline is [`Baseline::BookAverages`].
    #[serde(rename = "book averages", skip_serializing_if = "Option::is_none")]
    pub book_averages: Option<f64>,
    /// How far the model is ahead of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead: Option<Lead>,
    /// The run before, on the readers who were judged both times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// What lists gain from each rule by the figure, mostly less than nothing; by the rule's setting.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, Lead>,
    /// Why nothing was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_judged: Option<String>,
    /// Why nothing was compared with the run before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
    /// What the run before did not record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objections: Option<Vec<String>>,
}

impl GateMetrics {
    /// The baseline's figure. Runs of the first version did not name their baseline, which was popularity.
    pub fn baseline_figure(&self) -> Option<f64> {
        match self.baseline.unwrap_or_default() {
            Baseline::Popularity => self.popularity,
            Baseline::BookAverages => self.book_averages,
        }
    }
}

/// What the model is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Baseline {
    /// One list of the books with most readers, for everyone.
    #[default]
    #[serde(rename = "popularity")]
    Popularity,
    /// The damped mean rating of each book.
    #[serde(rename = "book averages")]
    BookAverages,
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How far one model is ahead of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// The mean difference.
    #[serde(deserialize_with = "or_nan")]
    pub mean: f64,
    /// The 95% interval of the mean.
    #[serde(deserialize_with = "both_or_nan")]
    pub interval: [f64; 2],
}

/// JSON has no NaN: it is written as `null`.
fn or_nan<'de, D: Deserializer<'de>>(number: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(number)?.unwrap_or(f64::NAN))
}

fn both_or_nan<'de, D: Deserializer<'de>>(numbers: D) -> Result<[f64; 2], D::Error> {
    Ok(<[Option<f64>; 2]>::deserialize(numbers)?.map(|number| number.unwrap_or(f64::NAN)))
}

/// The figure of the same readers in the run before and in this one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Before {
    pub run_id: i64,
    pub readers: u64,
    #[serde(deserialize_with = "or_nan")]
    pub then: f64,
    #[serde(deserialize_with = "or_nan")]
    pub now: f64,
    pub lead: Lead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    #[serde(rename = "passed")]
    Passed,
    #[serde(rename = "refused")]
    Refused,
    /// The gate objected, but `--force` was given.
    #[serde(rename = "forced")]
    Forced,
    #[serde(rename = "not judged")]
    NotJudged,
}

/// What a backfill changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The run that trained the model.
    pub model_run: i64,
    pub new_users: u64,
    pub changed_users: u64,
    pub gone_users: u64,
    pub new_items: u64,
    pub full_night_due: bool,
}

/// A part of a run that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Read,
    Normalise,
    Encode,
    Load,
    Books,
    Evaluate,
    Train,
    FoldIn,
    Recommend,
    Publish,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Seconds per stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timings(BTreeMap<String, f64>);

impl Timings {
    const TOTAL: &str = "total_s";

    /// In seconds, kept to the millisecond.
    pub fn note(&mut self, stage: Stage, seconds: f64) {
        self.0.insert(format!("{stage}_s"), rounded(seconds));
    }

    pub fn note_total(&mut self, seconds: f64) {
        self.0.insert(Self::TOTAL.into(), rounded(seconds));
    }

    /// In seconds; `None` if the stage did not run.
    pub fn of(&self, stage: Stage) -> Option<f64> {
        self.0.get(&format!("{stage}_s")).copied()
    }

    /// In seconds.
    pub fn total(&self) -> Option<f64> {
        self.0.get(Self::TOTAL).copied()
    }

    /// All stages and the total: name and seconds.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, seconds)| (name.trim_end_matches("_s"), *seconds))
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_added() {
        let night = json!({
            "k": 20, "rmse": null, "mae": null, "precision": 0.1, "recall": 0.2, "ndcg": 0.3, "map": 0.1,
            "mrr": 0.4, "hit_rate": 0.5, "liked": 0.15, "novelty": 9.0, "coverage": 0.25, "popular_share": 0.5, "loss": 0.75,
            "losses": { "held_out": [1.0, 0.5], "all": [0.75] },
            "gate": {
                "figure": "nDCG@20", "readers": 50, "model": 0.3, "baseline": "popularity", "popularity": 0.1,
                "lead": { "mean": 0.2, "interval": [0.1, 0.3] }, "interval": [0.2, 0.4],
                "verdict": "passed", "objections": []
            },
            "memory_bytes": { "read": 5, "fold_in": null },
        });
        let backfill = json!({
            "model_run": 1, "new_users": 2, "changed_users": 3, "gone_users": 4, "new_items": 5,
            "full_night_due": false
        });
        for metrics in [night, backfill, json!({}), json!({ "gate": { "not_judged": "too few" } })] {
            let read: Metrics = serde_json::from_value(metrics.clone()).expect("read");
            assert_eq!(serde_json::to_value(&read).expect("written"), metrics);
        }
        let counts: Counts = serde_json::from_value(json!({ "users": 1, "of_later": 2 })).expect("read");
        assert_eq!((counts.users, counts.ratings.kept), (Some(1), None));
    }

    #[test]
    fn words_are_those_of_the_tables() {
        let words = [RunStatus::DryRun.to_string(), RunKind::Nightly.to_string(), Stage::FoldIn.to_string()];
        assert_eq!(words, ["dry-run", "nightly", "fold_in"]);
        assert_eq!(Baseline::BookAverages.to_string(), "book averages");
        let mut timings = Timings::default();
        timings.note(Stage::FoldIn, 0.12345);
        assert_eq!(serde_json::to_value(&timings).expect("written"), json!({ "fold_in_s": 0.123 }));
        assert_eq!(serde_json::to_value(RunStatus::Running).expect("a word"), Value::from("running"));
    }
}
