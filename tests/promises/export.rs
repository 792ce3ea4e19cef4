//! What other programs read is what stands in the tables and in the model.

use polars::prelude::{ParquetReader, SerReader};

use crate::common::{Shop, isbn, nightshelf};

#[test]
fn lists_are_exported_whole_in_every_format() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.add("ann, \"the\" reader", isbn(3), 8);
    shop.night();
    let rows = shop.one::<i64>("SELECT count(*) FROM recommendations") as usize;
    let csv = shop.call(&["export", "recommendations"]).ok().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), rows);
    assert!(records.iter().any(|record| &record[0] == "ann, \"the\" reader"));
    let jsonl = shop.call(&["export", "recommendations", "--format", "jsonl"]).ok().stdout;
    let first: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    assert_eq!((jsonl.lines().count(), &first["rank"]), (rows, &1.into()));
    let score = shop.one::<f64>("SELECT score FROM recommendations ORDER BY user_id, rank LIMIT 1");
    assert_eq!(first["score"].as_f64(), Some(score));

    let out = shop.folder.path().join("lists.parquet");
    shop.call(&["export", "recommendations", "--out", out.to_str().unwrap()]).ok();
    let frame = ParquetReader::new(std::fs::File::open(&out).unwrap()).finish().unwrap();
    assert_eq!(frame.height(), rows);
    let names: Vec<&str> = frame.columns().iter().map(|column| column.name().as_str()).collect();
    assert_eq!(names[..4], ["user_id", "rank", "isbn", "isbn13"]);
}

#[test]
fn ids_that_are_all_integers_stay_so() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let out = shop.folder.path().join("readers.parquet");
    shop.call(&["export", "readers", "--out", out.to_str().unwrap()]).ok();
    let frame = ParquetReader::new(std::fs::File::open(&out).unwrap()).finish().unwrap();
    assert_eq!(frame.height(), 60);
    assert_eq!(frame.column("user_id").unwrap().i64().unwrap().get(7), Some(7));
    let factors = frame.column("factors").unwrap().list().unwrap();
    assert_eq!(factors.get_as_series(0).unwrap().len(), 8);

    let out = shop.folder.path().join("books.safetensors");
    shop.call(&["export", "books", "--out", out.to_str().unwrap()]).ok();
    let bytes = std::fs::read(&out).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let books = shop.one::<i64>("SELECT count(DISTINCT isbn) FROM ratings") as usize;
    assert_eq!(file.tensor("factors").unwrap().shape(), [books, 8]);
    // Each line of CSV has the same numbers.
    let csv = shop.call(&["export", "books"]).ok().stdout;
    let line: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    let first = f32::from_le_bytes(file.tensor("factors").unwrap().data()[..4].try_into().unwrap());
    assert_eq!(line[line.len() - 8].parse::<f32>().unwrap(), first);
}

#[test]
fn predictions_of_a_few_are_a_matrix() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let words =
        ["export", "predictions", "--user", "3", "--user", "4", "--isbn", &isbn(1), "--isbn", &isbn(2)];
    let table = shop.call(&words).ok().stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    let json = shop.call(&[&words[..], &["--format", "jsonl"]].concat()).ok().stdout;
    assert_eq!(json.lines().count(), 4);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let predicted = shop.call(&["predict", "--json", "--user", "3", "--isbn", &isbn(1)]).ok().json();
    let score = |json: &serde_json::Value| json["score"].as_f64().unwrap() as f32;
    assert_eq!(score(&first), score(&predicted));
    let svg = shop.call(&[&words[..], &["--format", "svg"]].concat()).ok().stdout;
    assert!(svg.starts_with("<svg") && !svg.contains("var(--"), "{svg}");

    shop.call(&["export", "predictions"]).failed(2, "--user");
    shop.call(&["export", "recommendations", "--format", "svg"]).failed(78, "does not go with");
    shop.call(&["export", "books", "--json"]).failed(78, "--out");
    shop.call(&["export", "recommendations", "--user", "3"]).failed(78, "exported whole");
    shop.call(&["export", "books", "--out", "x.xyz"]).failed(78, "--format");
}

#[test]
fn packagers_get_pages_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man");
    let done = nightshelf().args(["generate", "man", "--out"]).arg(&out).output().unwrap();
    assert!(done.status.success());
    let page = std::fs::read_to_string(out.join("nightshelf.1")).unwrap();
    assert!(page.contains("75") && page.contains("NIGHTSHELF_"), "exit codes and environment");
    assert!(out.join("nightshelf-backfill.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        let done = nightshelf().args(["generate", "completions", shell]).output().unwrap();
        assert!(String::from_utf8(done.stdout).unwrap().contains("backfill"), "{shell}");
    }
}
