//! Factors that are fitted elsewhere: what goes out, the arithmetic on the way, and what is not taken back.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nightshelf::model::data::Interactions;
use nightshelf::model::dot;
use nightshelf::model::interrupt::Interrupt;
use nightshelf::model::kernels::{Ridge, cpu};
use polars::prelude::*;
use serde_json::{Value, json};

use crate::common::{Shop, nightshelf};

/// The table that a half-step answers with; rows go to its stdin.
fn half_step(words: &[&str], rows: Option<DataFrame>) -> DataFrame {
    let mut child = nightshelf()
        .arg("half-step")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(mut rows) = rows {
        IpcStreamWriter::new(&mut stdin).finish(&mut rows).unwrap();
    }
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{words:?}");
    match done.stdout.is_empty() {
        true => DataFrame::empty(),
        false => IpcStreamReader::new(Cursor::new(done.stdout)).finish().unwrap(),
    }
}

fn lists<T: PolarsNumericType>(name: &str, rows: &[Vec<T::Native>]) -> Column {
    let dtype = T::get_static_dtype();
    let mut builder = ListPrimitiveChunkedBuilder::<T>::new(name.into(), rows.len(), 0, dtype);
    rows.iter().for_each(|row| builder.append_slice(row));
    builder.finish().into_column()
}

fn codes(frame: &DataFrame) -> Vec<usize> {
    frame.column("code").unwrap().i32().unwrap().into_no_null_iter().map(|code| code as usize).collect()
}

/// All rows of `rows`, those that are not in a table being zeros.
fn factors(frame: &DataFrame, rows: usize, d: usize) -> Vec<f32> {
    let mut all = vec![0.0; rows * d];
    let lists = frame.column("factors").unwrap().list().unwrap();
    for (at, code) in codes(frame).into_iter().enumerate() {
        let row = lists.get_as_series(at).unwrap();
        let row: Vec<f32> = row.f32().unwrap().into_no_null_iter().collect();
        all[code * d..][..d].copy_from_slice(&row);
    }
    all
}

fn table(rows: &[f32], d: usize) -> DataFrame {
    let count = rows.len() / d;
    let rows: Vec<Vec<f32>> = rows.chunks_exact(d).map(<[f32]>::to_vec).collect();
    let codes = Column::new("code".into(), (0..count as i32).collect::<Vec<_>>());
    DataFrame::new_infer_height(vec![codes, lists::<Float32Type>("factors", &rows)]).unwrap()
}

/// One training of an exported folder, and a cluster of one machine.
struct Part<'a> {
    folder: &'a Path,
    name: &'a str,
    about: Value,
    by_reader: Interactions,
    by_book: Interactions,
}

impl<'a> Part<'a> {
    fn open(folder: &'a Path, name: &'a str) -> Self {
        let manifest: Value =
            serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let file = File::open(folder.join(name).join("pairs.parquet")).unwrap();
        let pairs = ParquetReader::new(file).finish().unwrap();
        let codes = |name: &str| -> Vec<u32> {
            let column = pairs.column(name).unwrap().i32().unwrap();
            column.into_no_null_iter().map(|code| code as u32).collect()
        };
        let weights = pairs.column("weight").unwrap().f32().unwrap().into_no_null_iter();
        let triples: Vec<_> = codes("reader")
            .into_iter()
            .zip(codes("book"))
            .zip(weights)
            .map(|((reader, book), weight)| (reader, book, weight))
            .collect();
        let about = manifest[name].clone();
        let count = |name: &str| about[name].as_u64().unwrap() as usize;
        assert_eq!(triples.len(), count("ratings"));
        let by_reader = Interactions::from_triples(count("readers"), count("books"), &triples).0;
        Self { folder, name, by_book: by_reader.transposed(), by_reader, about }
    }

    fn d(&self) -> usize {
        self.about["model"]["factors"].as_u64().unwrap() as usize
    }

    fn side(&self, side: &str) -> &Interactions {
        if side == "readers" { &self.by_reader } else { &self.by_book }
    }

    fn words<'w>(&'w self, what: &'w str, side: &'w str) -> Vec<&'w str> {
        vec![what, "--manifest", self.folder.to_str().unwrap(), "--part", self.name, "--side", side]
    }

    /// A file of features of a side.
    fn prepare(&self, side: &str, rows: Option<DataFrame>) -> PathBuf {
        let path = self.folder.join(format!("{}-{side}.features", self.name));
        let mut words = self.words("prepare", side);
        words.extend(["--out", path.to_str().unwrap()]);
        if rows.is_none() {
            words.push("--beginning");
        }
        half_step(&words, rows);
        path
    }

    /// Solves a side in two partitions. Returns the factors, and the loss.
    fn solve(&self, side: &str, features: &Path) -> (Vec<f32>, f64) {
        let rows = self.side(side);
        let (count, d) = (rows.user_count(), self.d());
        let (mut solved, mut loss) = (vec![0.0; count * d], 0.0);
        for partition in 0..2 {
            let own = (0..count).filter(|row| row % 2 == partition && !rows.of(*row).0.is_empty());
            let own: Vec<usize> = own.collect();
            let columns: Vec<Vec<i32>> =
                own.iter().map(|row| rows.of(*row).0.iter().map(|code| *code as i32).collect()).collect();
            let weights: Vec<Vec<f32>> = own.iter().map(|row| rows.of(*row).1.to_vec()).collect();
            let table = DataFrame::new_infer_height(vec![
                Column::new("code".into(), own.iter().map(|row| *row as i32).collect::<Vec<_>>()),
                lists::<Int32Type>("columns", &columns),
                lists::<Float32Type>("weights", &weights),
            ]);
            let mut words = self.words("solve", side);
            words.extend(["--features", features.to_str().unwrap()]);
            let answer = half_step(&words, Some(table.unwrap()));
            assert_eq!(codes(&answer), own);
            loss += answer.column("loss").unwrap().f64().unwrap().sum().unwrap();
            factors(&answer, count, d).iter().zip(&mut solved).for_each(|(new, all)| *all += new);
        }
        (solved, loss)
    }
}

/// The features in a file, read as anybody can read safetensors.
fn features(path: &Path, rows: usize, d: usize) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor("features").unwrap();
    assert_eq!(tensor.shape(), [rows, d]);
    tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// Writes factors as a cluster does: a file of some rows each.
fn write_factors(folder: &Path, part: &str, side: &str, rows: &[f32], d: usize) -> Vec<Value> {
    fs::create_dir_all(folder.join(part).join("factors")).unwrap();
    let whole = table(rows, d);
    let each = whole.height().div_ceil(2);
    let mut listed = Vec::new();
    for number in 0..2 {
        let name = format!("{part}/factors/{side}-{number:05}.parquet");
        let mut some = whole.slice((number * each) as i64, each);
        ParquetWriter::new(File::create(folder.join(&name)).unwrap()).finish(&mut some).unwrap();
        listed.push(json!({ "part": part, "side": side, "file": name, "rows": some.height() }));
    }
    listed
}

fn list(folder: &Path, digest: &Value, files: &[Value]) {
    let listing = json!({ "format": 1, "digest": digest, "engine": "a test", "files": files });
    fs::write(folder.join("factors.json"), listing.to_string()).unwrap();
}

/// A club, its exported training, and the factors that were fitted there.
fn trained(shop: &Shop, flags: &[&str]) -> PathBuf {
    let folder = shop.beside().with_extension("training");
    let mut words = vec!["export", "training", "--out", folder.to_str().unwrap()];
    words.extend(flags);
    shop.call(&words).ok();
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let mut files = Vec::new();
    let mut judged_books: Option<Vec<f32>> = None;
    for name in ["judged", "all"] {
        let part = Part::open(&folder, name);
        let (readers, books, d) = (part.by_reader.user_count(), part.by_book.user_count(), part.d());
        let mut of_readers = match (&judged_books, part.about["goes_on"].as_bool().unwrap()) {
            (Some(books), true) => {
                let features = part.prepare("books", Some(table(books, d)));
                part.prepare("readers", Some(table(&part.solve("readers", &features).0, d)))
            }
            _ => part.prepare("readers", None),
        };
        let (mut solved, mut losses) = (Vec::new(), Vec::new());
        for _ in 0..part.about["epochs"].as_u64().unwrap() {
            let (of_books, penalty) = part.solve("books", &of_readers);
            let prepared = part.prepare("books", Some(table(&of_books, d)));
            let (of_all, loss) = part.solve("readers", &prepared);
            losses.push(loss + penalty);
            of_readers = part.prepare("readers", Some(table(&of_all, d)));
            solved = of_all;
        }
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] * 1.0001), "{name}: {losses:?}");
        let of_books = features(&folder.join(format!("{name}-books.features")), books, d);
        assert_eq!(solved.len(), readers * d);
        files.extend(write_factors(&folder, name, "readers", &solved, d));
        files.extend(write_factors(&folder, name, "books", &of_books, d));
        judged_books = Some(of_books);
    }
    list(&folder, &manifest["digest"], &files);
    folder
}

#[test]
fn a_half_step_through_the_program_is_the_one_at_home() {
    let shop = Shop::with_tastes(120, 60, 9);
    let folder = shop.beside().with_extension("training");
    shop.call(&["export", "training", "--out", folder.to_str().unwrap()]).ok();
    let part = Part::open(&folder, "judged");
    let (d, books) = (part.d(), part.by_book.user_count());
    let prepared = part.prepare("readers", None);
    let of_readers = features(&prepared, part.by_reader.user_count(), d);
    let (solved, _) = part.solve("books", &prepared);
    let number = |name: &str| part.about["model"][name].as_f64().unwrap();
    let others = number("unobserved_weight") * part.by_reader.user_count() as f64;
    let penalties: Vec<f32> = (0..books)
        .map(|book| part.by_book.of(book).0.len() as f64 + others)
        .map(|weight| (number("regularization") * weight.max(1.0).powf(number("exponent"))) as f32)
        .collect();
    let ridge = Ridge {
        offsets: &part.by_book.offsets,
        columns: &part.by_book.items,
        targets: None,
        weights: Some(&part.by_book.ratings),
        penalties: &penalties,
        unobserved_weight: number("unobserved_weight") as f32,
    };
    let (expected, _) = cpu::solve_exactly(&ridge, &of_readers, d, &Interrupt::never()).unwrap();
    for (book, (ours, theirs)) in solved.chunks_exact(d).zip(expected.chunks_exact(d)).enumerate() {
        for reader in of_readers.chunks_exact(d) {
            let (ours, theirs) = (dot(ours, reader), dot(theirs, reader));
            assert!((ours - theirs).abs() < 1e-4 * (1.0 + theirs.abs()), "book {book}: {ours} {theirs}");
        }
    }
}

#[test]
fn factors_from_elsewhere_make_lists_as_good_as_those_at_home() {
    let shop = Shop::with_tastes(400, 120, 12);
    let home = shop.call(&["run", "--json"]).ok().json();
    let before = shop.rows("SELECT user_id || isbn FROM recommendations ORDER BY 1");
    let folder = trained(&shop, &[]);
    let ran = shop.call(&["run", "--json", "--factors", folder.to_str().unwrap()]).ok();
    assert!(ran.stderr.contains("by a test"), "{}", ran.stderr);
    let night = ran.json();
    assert_eq!(night["status"], "published", "{night}");
    shop.keeps_its_promises(20);
    shop.call(&["check"]).ok();
    let figure = |night: &Value| night["metrics"]["gate"]["model"].as_f64().unwrap();
    let (ours, theirs) = (figure(&home), figure(&night));
    assert!((ours - theirs).abs() < 0.03 * ours, "{ours} at home, {theirs}");
    let after = shop.rows("SELECT user_id || isbn FROM recommendations ORDER BY 1");
    let same = before.iter().filter(|row| after.binary_search(row).is_ok()).count();
    assert!(same * 10 > before.len() * 8, "{same} of {}", before.len());
}

#[test]
fn factors_that_are_damaged_lost_or_of_something_else_are_not_taken() {
    let shop = Shop::with_tastes(120, 60, 9);
    let folder = trained(&shop, &[]);
    let path = folder.to_str().unwrap().to_owned();
    let refused = |words: &[&str], says: &[&str]| {
        let mut call = vec!["run", "--factors", path.as_str()];
        call.extend(words);
        let ran = shop.call(&call).failed(65, says[0]);
        says.iter().for_each(|word| assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr));
    };
    // Other settings.
    refused(&["--factors", &path, "--epochs", "3"][2..], &["manifest.json", "epochs"]);
    // A file that is gone, cut short, of other rows, or has what is no number.
    let file = folder.join("all/factors/readers-00001.parquet");
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    refused(&[], &["all/factors/readers-00001.parquet"]);
    File::create(&file).unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
    refused(&[], &["all/factors/readers-00001.parquet"]);
    let frame = ParquetReader::new(Cursor::new(whole.clone())).finish().unwrap();
    let write = |frame: &DataFrame| {
        ParquetWriter::new(File::create(&file).unwrap()).finish(&mut frame.clone()).unwrap();
    };
    write(&frame.slice(0, frame.height() - 1));
    refused(&[], &["all/factors/readers-00001.parquet", "rows"]);
    let codes = codes(&frame);
    let rows = codes.iter().max().unwrap() + 1;
    let d = Part::open(&folder, "all").d();
    let mut numbers = factors(&frame, rows, d);
    *numbers.last_mut().unwrap() = f32::NAN;
    write(&table(&numbers, d).slice(codes[0] as i64, codes.len()));
    refused(&[], &["all/factors/readers-00001.parquet", "NaN"]);
    // Rows that a cluster lost, and wrote as zeros.
    let last = codes.len() as i64;
    write(&table(&vec![0.0; rows * d], d).slice(codes[0] as i64, last as usize));
    refused(&[], &["all/factors", "has no factors"]);
    fs::write(&file, &whole).unwrap();
    // Factors of an export before, with other settings: they are gone, not taken for those of the new one.
    let other = shop.beside().with_extension("other");
    fs::create_dir_all(&other).unwrap();
    fs::copy(folder.join("factors.json"), other.join("factors.json")).unwrap();
    let other = other.to_str().unwrap();
    shop.call(&["export", "training", "--out", other, "--seed", "7"]).ok();
    shop.call(&["run", "--seed", "7", "--factors", other]).failed(66, "factors.json");
    // A manifest that cannot be.
    let manifest = folder.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"factors\": 8", "\"factors\": 0")).unwrap();
    refused(&[], &["manifest.json", "by 0 factors"]);
    fs::write(&manifest, &text).unwrap();
    // Other ratings.
    shop.add(7, crate::common::isbn(33), 9.0);
    refused(&[], &["manifest.json", "of other ratings"]);
    shop.call(&["run", "--factors", "nowhere"]).failed(66, "manifest.json");
    assert_eq!(shop.rows("SELECT name FROM sqlite_schema WHERE name = 'recommendations'"), [""; 0]);
}

#[test]
fn a_half_step_says_what_is_wrong_with_what_it_gets() {
    let shop = Shop::with_tastes(60, 40, 8);
    let folder = shop.beside().with_extension("training");
    shop.call(&["export", "training", "--out", folder.to_str().unwrap()]).ok();
    let part = Part::open(&folder, "all");
    let (readers, d) = (part.by_reader.user_count(), part.d());
    let features = part.prepare("readers", Some(table(&vec![0.5; readers * d], d)));
    let answer = |bytes: &[u8]| -> crate::common::Ran {
        let mut words = part.words("solve", "books");
        words.extend(["--features", features.to_str().unwrap()]);
        let mut command = nightshelf();
        command.arg("half-step").args(&words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.stdout.is_empty());
        done.into()
    };
    let rows = |code: i32, column: i32, weight: f32, lengths: (usize, usize)| -> Vec<u8> {
        let mut table = DataFrame::new_infer_height(vec![
            Column::new("code".into(), vec![0, code]),
            lists::<Int32Type>("columns", &[vec![1], vec![column; lengths.0]]),
            lists::<Float32Type>("weights", &[vec![1.0], vec![weight; lengths.1]]),
        ])
        .unwrap();
        let mut bytes = Vec::new();
        IpcStreamWriter::new(&mut bytes).finish(&mut table).unwrap();
        bytes
    };
    let whole = rows(1, 1, 1.0, (2, 2));
    for (bytes, says) in [
        (b"no arrow".to_vec(), "no Arrow stream"),
        (whole[..whole.len() / 3].to_vec(), "no Arrow stream"),
        (rows(0, 1, 1.0, (2, 2)), "code 0 comes twice"),
        (rows(-1, 1, 1.0, (2, 2)), "code -1"),
        (rows(1_000_000, 1, 1.0, (2, 2)), "code 1000000"),
        (rows(1, 1_000_000, 1.0, (2, 2)), "1000000 in columns"),
        (rows(1, -1, 1.0, (2, 2)), "-1 in columns"),
        (rows(1, 1, f32::NAN, (2, 2)), "NaN in weights"),
        (rows(1, 1, 1.0, (2, 3)), "not of the same lengths"),
    ] {
        answer(&bytes).failed(65, says);
    }
    // Features of something else.
    fs::write(&features, b"no features").unwrap();
    answer(&whole).failed(65, ".features");
    fs::remove_file(&features).unwrap();
    answer(&whole).failed(66, ".features");
}

#[test]
fn what_no_cluster_can_fit_is_not_exported() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.call(&["export", "training", "--out", "x", "--solver", "adam"]).failed(78, "als");
    shop.call(&["export", "training"]).failed(78, "--out");
}
