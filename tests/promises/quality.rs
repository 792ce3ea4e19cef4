//! Lists that are better than what anybody could do without a model.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Ran, Random, isbn, nightshelf};

fn evaluate(train: &Path, test: &Path, more: &[&str]) -> Value {
    let mut command = nightshelf();
    command
        .args(["evaluate", "--json", "--device", "cpu", "--train"])
        .arg(train)
        .arg("--test")
        .arg(test)
        .args(more);
    let ran: Ran = command.output().unwrap().into();
    ran.ok().json()
}

fn figure(report: &Value, model: &str, figure: &str) -> f64 {
    let models = report["models"].as_array().unwrap();
    models.iter().find(|entry| entry["name"] == model).unwrap()[figure].as_f64().unwrap()
}

/// Readers with tastes, every fifth rating held out.
fn split(folder: &Path) -> (PathBuf, PathBuf) {
    let (mut train, mut test) = (String::new(), String::new());
    let mut random = Random(5);
    for reader in 0..400u64 {
        for place in 0..15 {
            let group = if random.below(10) < 8 { reader % 5 } else { random.below(5) };
            let book = random.below(30) * random.below(30) / 30 * 5 + group;
            let rating = if group == reader % 5 { 7 + random.below(4) } else { 1 + random.below(6) };
            let line = format!("{reader}\t{}\t{rating}\n", isbn(book));
            if place % 5 == 4 { test.push_str(&line) } else { train.push_str(&line) }
        }
    }
    let paths = (folder.join("train.tsv"), folder.join("test.tsv"));
    std::fs::write(&paths.0, train).unwrap();
    std::fs::write(&paths.1, test).unwrap();
    paths
}

#[test]
fn the_model_beats_the_baselines_on_tastes_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = split(folder.path());
    let report = evaluate(&train, &test, &["--k", "10", "--factors", "16"]);
    for key in ["rmse", "mae", "precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage"] {
        let model =
            report["models"].as_array().unwrap().iter().find(|entry| entry["name"] == "nightshelf").unwrap();
        assert!(model[key].is_number(), "{key} in {model}");
    }
    assert_eq!(report["k"], 10);
    let (model, popular) = (figure(&report, "nightshelf", "ndcg"), figure(&report, "popularity", "ndcg"));
    assert!(model > 1.5 * popular, "{model} {popular}");
    let (model, bias) = (figure(&report, "nightshelf", "rmse"), figure(&report, "damped bias", "rmse"));
    assert!(model < bias, "{model} {bias}");
}

#[test]
fn gradient_descent_reaches_what_least_squares_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = split(folder.path());
    let als = evaluate(&train, &test, &["--factors", "16"]);
    let mut command = nightshelf();
    command
        .args([
            "evaluate",
            "--json",
            "--device",
            "cpu",
            "--solver",
            "adam",
            "--factors",
            "16",
            "--epochs",
            "60",
            "--train",
        ])
        .arg(&train)
        .arg("--test")
        .arg(&test)
        .envs([("NIGHTSHELF_BATCH_SIZE", "512"), ("NIGHTSHELF_RATING_EPOCHS", "40")]);
    let ran: Ran = command.output().unwrap().into();
    let adam = ran.ok().json();
    let ndcg = [&als, &adam].map(|report| figure(report, "nightshelf", "ndcg"));
    assert!(ndcg[1] > 0.85 * ndcg[0], "{ndcg:?}");
    let rmse = [&als, &adam].map(|report| figure(report, "nightshelf", "rmse"));
    assert!(rmse[1] < 1.05 * rmse[0], "{rmse:?}");
}

#[test]
fn on_published_data_the_figures_hold() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let (books, films) = (data.join("bookcrossing-split"), data.join("ml-100k"));
    if !(books.is_dir() && films.is_dir()) {
        eprintln!("skipped: the published data sets are not on this machine");
        return;
    }
    let report = evaluate(&books.join("train.tsv.gz"), &books.join("validation.tsv.gz"), &["--k", "20"]);
    let (recall, ndcg) = (figure(&report, "nightshelf", "recall"), figure(&report, "nightshelf", "ndcg"));
    assert!(recall >= 0.078 && ndcg >= 0.060, "{recall} {ndcg}");
    let report = evaluate(&films.join("u1.base"), &films.join("u1.test"), &["--key", "text"]);
    let rmse = figure(&report, "nightshelf", "rmse");
    assert!(rmse < 0.945, "{rmse}");
}
