use std::collections::VecDeque;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::rc::Rc;

use clap::Parser;
use proptest::prelude::*;

use super::lines::{Container, Format, Lines};
use super::*;
use crate::cli::{Cli, Command};
use crate::error::{Kind, Result};

fn understand(text: &[u8], flags: &[&str]) -> Result<Dialect> {
    let words = ["nightshelf", "import", "x.csv", "--db", "x.db"];
    let cli = Cli::try_parse_from(words.iter().chain(flags)).unwrap();
    let Command::Import(args) = cli.command else { panic!("no import") };
    Dialect::of_text(text, &args.hints, Container::Plain)
}

fn read(text: &[u8], flags: &[&str]) -> Vec<Vec<String>> {
    let dialect = understand(text, flags).unwrap();
    let lines = Lines {
        text: Box::new(Cursor::new(text.to_vec())),
        container: Container::Plain,
        format: Format::Lines,
        ahead: VecDeque::new(),
        passed: Rc::default(),
        path: PathBuf::from("x.csv"),
    };
    Records::of_lines(lines, dialect).unwrap().map(|record| record.unwrap().fields).collect()
}

#[test]
fn known_dialects_are_told_apart() {
    let shop = "reader,book,stars\nann,007,5\n";
    let goodbooks = "book_id,isbn,authors,title\n1,439023483,Suzanne Collins,The Hunger Games\n";
    for (text, told) in [
        (
            "\"User-ID\";\"ISBN\";\"Book-Rating\"\n\"8\";\"0002005018\";\"5\"\n",
            "ratings (user, isbn, rating), `;` separated, UTF-8, header",
        ),
        (
            "\u{feff}userId,movieId,rating,timestamp\r\n1,31,2.5,1260759144\r\n",
            "ratings (user, isbn, rating, rated_at), `,` separated, UTF-8, header",
        ),
        (
            "1::1193::5::978300760\n1::661::3::978302109\n",
            "ratings (user, isbn, rating, rated_at), `::` separated, UTF-8, no header",
        ),
        ("196\t242\t3\n186\t302\t3\n", "ratings (user, isbn, rating), `tab` separated, UTF-8, no header"),
        (
            "8;0002005018;4,5\n8;0002005019;3,5\n",
            "ratings (user, isbn, rating), `;` separated, UTF-8, no header",
        ),
        (
            "ISBN,Book-Title,Book-Author,Year-Of-Publication,Publisher,Image\n1,a,b,1999,c,d\n",
            "books (isbn, title, author, year, publisher, -), `,` separated, UTF-8, header",
        ),
        (
            "0002005018,\"Clara, Callan\",R. Wright,2001,Flamingo\n000104799X,Brave,A. Huxley,1999,T\n",
            "books (isbn, title, author, year, publisher), `,` separated, UTF-8, no header",
        ),
        (shop, "ratings (user, isbn, rating), `,` separated, UTF-8, header"),
        (goodbooks, "books (-, isbn, author, title), `,` separated, UTF-8, header"),
        // What stands in a field may hold more of another separator, and a name a digit.
        ("reader,isbn,stars\nann,a\t\t\tb,5\n", "ratings (user, isbn, rating), `,` separated, UTF-8, header"),
        ("ISBN13,Titel\n9780306406157,A title\n", "books (isbn, title), `,` separated, UTF-8, header"),
        ("Leser;Werk;Note\n8;0002005018;5\n", "ratings (user, isbn, rating), `;` separated, UTF-8, header"),
    ] {
        assert_eq!(understand(text.as_bytes(), &[]).unwrap().to_string(), told, "{text}");
    }
}

#[test]
fn what_is_said_is_not_guessed() {
    let text = "5;8;x;0002005018\n";
    let flags = ["--columns", "rating,user,-,isbn", "--encoding", "latin1", "--header", "true"];
    let told = "ratings (rating, user, -, isbn), `;` separated, Latin-1, header";
    assert_eq!(understand(text.as_bytes(), &flags).unwrap().to_string(), told);
    let error = understand(text.as_bytes(), &["--columns", "user,isbm"]).unwrap_err();
    assert!(error.to_string().contains("did you mean isbn?"), "{error}");
    assert!(understand(text.as_bytes(), &["--separator", "/"]).is_err());
}

#[test]
fn what_cannot_be_told_names_the_flag() {
    for (text, flag) in [
        ("hello\nworld\n", "--separator"),
        ("userId,movieId,tag,timestamp\n1,2,funny,3\n", "--columns"),
        ("1::Toy Story (1995)::Animation\n2::Jumanji (1995)::Adventure\n", "--columns"),
    ] {
        let error = understand(text.as_bytes(), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(text.lines().next().unwrap()), "{error}");
        assert!(error.next_step().unwrap().contains(flag), "{error}");
    }
    assert_eq!(understand(b"\n \n", &[]).unwrap_err().kind(), Kind::NoRatings);
    assert_eq!(understand(b"\xff\xfea\0", &[]).unwrap_err().kind(), Kind::Config);
}

#[test]
fn both_ways_of_quoting_are_read() {
    let text = br#""8";"\"8804501367\"";"5"
"8";"say ""hi""; then go";"5"
"8";"\0432534220\""""";"6"
"8";"ends in \";"7"
"8";"a "stray" one";"7"
"8";"back\\slash \""=";"7"
8 ; plain ; 7
"#;
    let isbns: Vec<String> = read(text, &[]).into_iter().map(|row| row[1].clone()).collect();
    let expected = [
        r#""8804501367""#,
        r#"say "hi"; then go"#,
        r#"\0432534220\"""#,
        r"ends in \",
        r#"a "stray" one"#,
        r#"back\\slash \"="#,
        "plain",
    ];
    assert_eq!(isbns, expected);
}

#[test]
fn an_open_quote_costs_one_record_at_most() {
    let rows = read(b"1,2,5\n1,\"3,5\n1,4,5\n1,\"6,5\n1,\"7,5\n", &[]);
    let isbns: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(isbns, ["2", "3", "4", "6", "7"]);
}

#[test]
fn a_quoted_title_may_span_lines() {
    let text = b"isbn,title,author\r\n1,\"Two\r\nlines\",Ann\r\n2,One,Bob\r\n";
    let rows = read(text, &[]);
    assert_eq!(rows, [["1", "Two\nlines", "Ann"], ["2", "One", "Bob"]]);
    // The first line is closed where a backslash means something, and has too few fields for it.
    let text = b"isbn,title,author,year\n1,\"A \\\"\", and\nB\",Ann,1999\n2,One,Bob,2000\n";
    let rows = read(text, &[]);
    assert_eq!(rows, [["1", "A \\\", and\nB", "Ann", "1999"], ["2", "One", "Bob", "2000"]]);
}

#[test]
fn letters_survive_in_either_encoding() {
    let text = b"isbn,title\n1,caf\xe9\n2,caf\xc3\xa9\n";
    assert_eq!(read(text, &[]), [["1", "caf\u{e9}"], ["2", "caf\u{e9}"]]);
    assert_eq!(understand(text, &[]).unwrap().encoding, Encoding::Latin1);
    let forced = read(text, &["--encoding", "latin1"]);
    assert_eq!(forced[1][1], "caf\u{c3}\u{a9}");
}

#[test]
fn colons_do_not_quote_and_short_lines_stay_short() {
    let flags = ["--columns", "isbn,title,-"];
    let text = b"1::\"Toy\" Story::Animation\n2::Jumanji\n\n3::A::B::C\n";
    let rows = read(text, &flags);
    assert_eq!(rows[0], ["1", "\"Toy\" Story", "Animation"]);
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 4]);
}

#[test]
fn a_cut_off_gzip_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.csv.gz");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let rows = (0..50_000).map(|i| format!("{i},{},{}\n", i * 7919 % 10_007, i % 10));
    packer.write_all(rows.collect::<String>().as_bytes()).unwrap();
    let packed = packer.finish().unwrap();

    std::fs::write(&path, &packed).unwrap();
    let dialect = Dialect { container: Container::Gzip, ..understand(b"1,2,3\n4,5,6\n", &[]).unwrap() };
    let origin = Origin::file(&path);
    let whole = Records::open(&origin, &dialect).unwrap();
    assert_eq!(whole.filter(|record| record.is_ok()).count(), 50_000);

    std::fs::write(&path, &packed[..packed.len() - 4]).unwrap();
    let error = Records::open(&origin, &dialect).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.next_step().is_some());
}

/// Text with everything that makes delimited files hard, and now and then anything at all.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let mark =
        prop::sample::select(vec![",", ";", "\t", "::", "\"", "\"\"", "\\\"", "\\", " ", "\r", "\0", ","]);
    let word = prop::sample::select(vec![
        "user",
        "isbn",
        "rating",
        "title",
        "0002005018",
        "5",
        "4,5",
        "NULL",
        "caf\u{e9}",
        "\u{feff}",
    ]);
    let piece = prop_oneof![
        3 => mark.prop_map(|text| text.as_bytes().to_vec()),
        3 => word.prop_map(|text| text.as_bytes().to_vec()),
        2 => Just(b"\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

/// How a field is written for sure.
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn whatever_a_file_holds_is_read_to_its_end(text in anything(), kind in 0..4usize) {
        let flags: &[&str] = [
            &[][..],
            &["--kind", "ratings"],
            &["--columns", "user,isbn,rating", "--separator", ";", "--header", "false"],
            &["--columns", "isbn,title,-", "--encoding", "latin1"],
        ][kind];
        let Ok(dialect) = understand(&text, flags) else {
            return Ok(());
        };
        prop_assert!(!dialect.columns.is_empty());
        let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
        let records = read(&text, flags);
        prop_assert!(records.len() <= lines, "{} records in {lines} lines", records.len());
        // Nothing comes out that did not go in: quotes and marks go away, letters never come.
        let long: usize = records.iter().flatten().map(String::len).sum();
        prop_assert!(long <= 3 * text.len());
    }

    #[test]
    fn what_is_quoted_as_the_standard_says_comes_back(
        rows in prop::collection::vec(prop::collection::vec("[ -~\u{e9}]{0,8}|[\"\\\\,;]{0,6}", 3), 2..12),
        separator in prop::sample::select(vec![",", ";", "\t"]),
    ) {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().map(|field| field.trim().to_owned()).collect()).collect();
        let lines = rows.iter().map(|row| {
            row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(separator) + "\n"
        });
        let flags = ["--columns", "isbn,title,author", "--separator", separator, "--header", "false"];
        prop_assert_eq!(read(lines.collect::<String>().as_bytes(), &flags), rows);
    }
}
