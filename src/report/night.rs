//! What the page shows of a run, from the run's summary.

use chrono::{DateTime, Local, Utc};

use crate::run_summary::{GateMetrics, QualityFigures, RunRecord, RunStatus, Stage, Timings};
use crate::text::{count, plain};

#[derive(Clone, Debug, Default)]
pub struct Night {
    pub run_id: i64,
    /// The start, in local time.
    pub when: String,
    pub device: String,
    pub version: String,
    /// Headline numbers, with their labels.
    pub tiles: Vec<(String, String)>,
    /// Loss curves, each going on where the one before ends: name, and a value for each epoch.
    pub losses: Vec<(String, Vec<f64>)>,
    /// Names and values of the figures on held-out ratings.
    pub figures: Vec<(String, String)>,
    /// `None` if the gate did not judge this night.
    pub gate: Option<Gate>,
    /// The gate's objections, or why it did not judge.
    pub remarks: Vec<String>,
    /// Seconds by stage.
    pub stages: Vec<(String, f64)>,
    /// Peak memory at the end of each stage, in megabytes.
    pub memory: Vec<(String, f64)>,
    /// Peak memory of the whole run, in bytes.
    pub most_memory: Option<u64>,
}

/// The model compared with a baseline and with the run before.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The name of the figure, such as `nDCG@20`.
    pub figure: String,
    /// How many readers were judged.
    pub readers: u64,
    pub model: f64,
    /// 95% interval of the model's figure.
    pub interval: Option<[f64; 2]>,
    /// Name and figure.
    pub baseline: (String, f64),
    /// How far the model is ahead of the baseline, and the 95% interval of that.
    pub lead: (f64, [f64; 2]),
    /// The run before, its figure, and tonight's figure for the same readers.
    pub before: Option<(i64, f64, f64)>,
    /// What each rule of lists adds to the figure, and the 95% interval of that.
    pub rules: Vec<(String, f64, [f64; 2])>,
}

#[derive(Clone, Debug, Default)]
pub struct Run {
    pub run_id: i64,
    /// The start, in local time.
    pub when: String,
    /// Kind and status.
    pub what: String,
    pub seconds: Option<f64>,
    /// Published rows.
    pub rows: Option<u64>,
    /// The gate's figures of the model and of the baseline.
    pub quality: Option<(f64, Option<f64>)>,
    pub error: Option<String>,
}

/// The stages of a night, with short names for plots.
const STAGES: [(Stage, &str); 8] = [
    (Stage::Read, "read"),
    (Stage::Normalise, "ISBNs"),
    (Stage::Encode, "codes"),
    (Stage::Books, "books"),
    (Stage::Evaluate, "gate"),
    (Stage::Train, "train"),
    (Stage::Recommend, "lists"),
    (Stage::Publish, "publish"),
];

impl Night {
    /// What the page shows of a run.
    pub fn of(entry: &RunRecord) -> Self {
        let counts = entry.counts.clone().unwrap_or_default();
        let metrics = entry.metrics.clone().unwrap_or_default();
        let timings = entry.timings.clone().unwrap_or_default();
        let whole = |number: Option<u64>| number.map_or("?".to_owned(), count);
        let mut tiles = vec![
            (whole(counts.users), "readers"),
            (whole(counts.items), "books"),
            (whole(counts.ratings.kept), "ratings"),
            (whole(counts.recommendations), "recommendations"),
        ];
        let new_books = counts.new_books.filter(|books| *books > 0);
        tiles.extend(new_books.map(|books| (count(books), "new books, by known authors")));
        let total = timings.total().and_then(drawable);
        tiles.extend(total.map(|seconds| (format!("{seconds:.1} s"), "for all of it")));
        let losses = metrics.losses.clone().unwrap_or_default();
        let curve = |values: Option<Vec<f64>>| -> Vec<f64> {
            values.unwrap_or_default().into_iter().filter_map(drawable).collect()
        };
        let [all, first] = [losses.all, losses.held_out].map(curve);
        // If the last passes are no fewer than the first, they began anew and do not go on from those.
        let curves = match first.len() > all.len() {
            false => vec![("everything".to_owned(), all)],
            true => vec![
                ("first passes, without the hidden ratings".to_owned(), first),
                ("last passes, over everything".to_owned(), all),
            ],
        };
        let QualityFigures { ndcg, recall, precision, hit_rate, liked, mrr, map, rmse, mae, .. } =
            metrics.figures.clone().unwrap_or_default();
        let figures = [
            (ndcg, "nDCG@20: are the hidden books in the first 20, and far up?"),
            (recall, "Recall@20: which share of a reader's hidden books is among the first 20?"),
            (precision, "Precision@20: which share of the first 20 are hidden books?"),
            (hit_rate, "Hit rate@20: how many readers find at least one?"),
            (liked, "Liked@20: which share of the hidden books is found and was marked no lower than usual?"),
            (mrr, "MRR: one by the place of the first, on average"),
            (map, "MAP@20"),
            (rmse, "RMSE of the stars"),
            (mae, "MAE of the stars"),
        ];
        let figures = figures
            .into_iter()
            .filter_map(|(figure, name)| Some((name.to_owned(), format!("{:.4}", drawable(figure?)?))));
        let judged = metrics.gate.clone().unwrap_or_default();
        let objections = judged.objections.unwrap_or_default();
        let mut remarks: Vec<String> = objections.iter().map(|objection| plain(objection)).collect();
        remarks.extend(judged.not_judged.map(|why| format!("Not judged: {}", plain(&why))));
        let seconds =
            |(stage, name): (Stage, &str)| Some((name.to_owned(), timings.of(stage).and_then(drawable)?));
        let megabytes = |(stage, name): (Stage, &str)| {
            let bytes = metrics.memory_bytes.get(&stage).copied().flatten().filter(|bytes| *bytes > 0)?;
            Some((name.to_owned(), drawable(bytes as f64)? / 1e6))
        };
        Self {
            run_id: entry.run_id,
            when: local(entry.started),
            device: entry.device.as_deref().map(plain).unwrap_or_default(),
            version: plain(&entry.version),
            tiles: tiles.into_iter().map(|(value, name)| (value, name.to_owned())).collect(),
            losses: curves,
            figures: figures.collect(),
            gate: gate(entry),
            remarks,
            stages: STAGES.into_iter().filter_map(seconds).collect(),
            memory: STAGES.into_iter().filter_map(megabytes).collect(),
            most_memory: metrics.peak_memory_bytes,
        }
    }
}

impl Run {
    /// `figure` is the one that the published night was judged by; other figures cannot be compared with it.
    pub fn of(entry: &RunRecord, figure: Option<&str>) -> Self {
        let gate = entry.metrics.as_ref().and_then(|metrics| metrics.gate.as_ref());
        let quality = |gate: &GateMetrics| {
            let model = gate.model.and_then(drawable).filter(|_| gate.figure.as_deref() == figure)?;
            Some((model, gate.baseline_figure().and_then(drawable)))
        };
        let rows = entry.counts.as_ref().and_then(|counts| counts.recommendations);
        Self {
            run_id: entry.run_id,
            when: local(entry.started),
            what: format!("{}, {}", entry.kind, entry.status),
            seconds: entry.timings.as_ref().and_then(Timings::total).and_then(drawable),
            rows: rows.filter(|_| entry.status == RunStatus::Published),
            quality: gate.and_then(quality),
            error: entry.error.as_deref().map(plain),
        }
    }
}

fn gate(entry: &RunRecord) -> Option<Gate> {
    let gate = entry.metrics.as_ref()?.gate.as_ref()?;
    let pair = |[low, high]: [f64; 2]| Some([drawable(low)?, drawable(high)?]);
    let lead = gate.lead?;
    Some(Gate {
        figure: plain(gate.figure.as_deref()?),
        readers: gate.readers?,
        model: drawable(gate.model?)?,
        interval: gate.interval.and_then(pair),
        baseline: (gate.baseline.unwrap_or_default().to_string(), drawable(gate.baseline_figure()?)?),
        lead: (drawable(lead.mean)?, pair(lead.interval)?),
        before: gate
            .before
            .as_ref()
            .and_then(|before| Some((before.run_id, drawable(before.then)?, drawable(before.now)?))),
        rules: gate
            .rules
            .iter()
            .filter_map(|(name, lead)| Some((plain(name), drawable(lead.mean)?, pair(lead.interval)?)))
            .collect(),
    })
}

/// A number from the history, if it can be drawn: others may write there, so it can be anything.
fn drawable(number: f64) -> Option<f64> {
    const MOST: f64 = 1e12;
    Some(number).filter(|number| number.abs() < MOST)
}

fn local(time: Option<DateTime<Utc>>) -> String {
    time.map_or("?".into(), |time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string())
}
