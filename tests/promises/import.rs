//! Files of ratings and books, in the dialects that are found in the wild.

use std::io::Write;

use crate::common::{Shop, isbn};

pub fn write(shop: &Shop, name: &str, bytes: &[u8]) -> String {
    let path = shop.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// The Book-Crossing way: everything quoted, semicolons, Latin-1.
fn book_crossing(readers: u64) -> Vec<u8> {
    let mut text = String::from("\"User-ID\";\"ISBN\";\"Book-Rating\"\r\n");
    for reader in 0..readers {
        for book in 0..6 {
            let rating = (reader * 3 + book) % 11;
            text.push_str(&format!("\"{reader}\";\"{}\";\"{rating}\"\r\n", isbn(reader % 4 * 10 + book)));
        }
    }
    text.into_bytes()
}

#[test]
fn every_dialect_gives_the_same_rows() {
    let mut expected = None;
    let rows: Vec<(u64, String, u64)> = (0..40).map(|n| (n % 13, isbn(n), n % 10 + 1)).collect();
    let line = |separator: &str, quote: &str, header: &str| {
        let mut text = String::from(header);
        for (user, isbn, rating) in &rows {
            let fields = [user.to_string(), isbn.clone(), rating.to_string()];
            text.push_str(&fields.map(|field| format!("{quote}{field}{quote}")).join(separator));
            text.push('\n');
        }
        text.into_bytes()
    };
    for (name, bytes) in [
        ("a.csv", line(",", "", "user_id,isbn,rating\n")),
        ("b.csv", line(";", "\"", "\"User-ID\";\"ISBN\";\"Book-Rating\"\n")),
        ("c.tsv", line("\t", "", "")),
        ("d.dat", line("::", "", "")),
        ("e.csv.gz", gzip(&line(",", "", "userId,movieId,rating\n"))),
        ("f.csv", [b"\xef\xbb\xbf".to_vec(), line(",", "", "user_id,isbn,rating\n")].concat()),
    ] {
        let shop = Shop::empty();
        shop.sql("DROP TABLE ratings");
        let file = write(&shop, name, &bytes);
        let report = shop.call(&["import", &file, "--json"]).ok().json();
        assert_eq!(report["files"][0]["written"], 40, "{name}: {report}");
        let found = shop.rows("SELECT typeof(user_id), user_id, isbn, rating FROM ratings ORDER BY isbn");
        assert_eq!(found.len(), 40);
        assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "{name}");
    }
}

#[test]
fn imported_ratings_are_ready_for_the_night() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let ratings = write(&shop, "BX-Book-Ratings.csv.gz", &gzip(&book_crossing(200)));
    let mut books =
        b"\"ISBN\";\"Book-Title\";\"Book-Author\";\"Year-Of-Publication\";\"Publisher\"\n".to_vec();
    for n in 0..40 {
        books.extend(
            format!("\"{}\";\"Caf\u{e9} \\\"{n}\\\"; a novel\";\"Zo\u{eb}\";\"1999\";\"P\"\n", isbn(n))
                .chars()
                .map(|c| c as u8),
        );
    }
    let books = write(&shop, "BX-Books.csv", &books);
    shop.call(&["import", &ratings, &books]).ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 1200);
    assert_eq!(
        shop.one::<String>("SELECT title FROM books WHERE isbn = '9781000000009'"),
        "Café \"0\"; a novel"
    );
    assert_eq!(shop.one::<String>("SELECT author FROM books LIMIT 1"), "Zoë");
    shop.night();
    shop.keeps_its_promises(10);
    let titled: i64 = shop.one("SELECT count(*) FROM recommendations JOIN books USING (isbn)");
    assert_eq!(titled, shop.one::<i64>("SELECT count(*) FROM recommendations"));
}

#[test]
fn importing_again_changes_nothing_and_newer_rows_replace() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let file = write(&shop, "r.csv", b"user,isbn,rating\nann,9780306406157,4\n007,9780306406157,5\n");
    shop.call(&["import", &file]).ok();
    shop.call(&["import", &file]).ok();
    assert_eq!(shop.rows("SELECT user_id, rating FROM ratings ORDER BY user_id"), ["007|5", "ann|4"]);
    let newer = write(&shop, "newer.csv", b"user,isbn,rating\nann,9780306406157,9\n");
    shop.call(&["import", &newer]).ok();
    assert_eq!(shop.rows("SELECT rating FROM ratings WHERE user_id = 'ann'"), ["9"]);
}

#[test]
fn an_application_table_without_a_key_is_upserted_too() {
    let shop = Shop::empty();
    shop.add("ann", isbn(1), 3);
    let file =
        write(&shop, "r.csv", format!("user,isbn,rating\nann,{},8\nbob,{},7\n", isbn(1), isbn(1)).as_bytes());
    shop.call(&["import", &file]).ok();
    assert_eq!(
        shop.rows("SELECT user_id, CAST(rating AS INTEGER) FROM ratings ORDER BY 1"),
        ["ann|8", "bob|7"]
    );
}

#[test]
fn rejects_are_counted_with_examples() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let file = write(
        &shop,
        "r.csv",
        b"user,isbn,rating\nann,9780306406157,4\n,9780306406157,4\nbob,,4\nbob,x,great\nbob\n",
    );
    let report = shop.call(&["import", &file, "--json"]).ok().json();
    assert_eq!(report["files"][0]["written"], 1, "{report}");
    let rejected: i64 = shop.one("SELECT sum(count) FROM nightshelf_rejects WHERE run_id IS NULL");
    assert_eq!(rejected, 4);
    assert!(shop.one::<i64>("SELECT count(*) FROM nightshelf_rejects WHERE examples LIKE '%great%'") == 1);
    let useless = write(&shop, "useless.csv", b"user,isbn,rating\n,,\nx,y,z\n");
    shop.call(&["import", &useless]).failed(65, "");
}

#[test]
fn a_killed_import_goes_on_where_it_was() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings; PRAGMA journal_mode = wal");
    let mut text = String::from("user,isbn,rating\n");
    for n in 0..60_000u64 {
        text.push_str(&format!("{},{},{}\n", n / 10, isbn(n % 977), n % 10 + 1));
    }
    let file = write(&shop, "large.csv", text.as_bytes());
    for _ in 0..3 {
        let before = shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name = 'ratings'");
        shop.die_at("import.batch", &["import", &file]);
        assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
        assert!(before == 0 || shop.one::<i64>("SELECT count(*) FROM ratings") > 0);
    }
    let report = shop.call(&["import", &file, "--json"]).ok().json();
    assert!(report["files"][0]["resumed_at"].as_i64() > Some(0), "{report}");
    let (rows, sum): (i64, f64) =
        (shop.one("SELECT count(*) FROM ratings"), shop.one("SELECT sum(rating) FROM ratings"));
    let whole = Shop::empty();
    whole.sql("DROP TABLE ratings");
    whole.call(&["import", &file]).ok();
    assert_eq!(rows, whole.one::<i64>("SELECT count(*) FROM ratings"));
    assert_eq!(sum, whole.one::<f64>("SELECT sum(rating) FROM ratings"));
}

#[test]
fn what_cannot_be_imported_is_said_before_anything_is_written() {
    let shop = Shop::empty();
    let before = std::fs::read(&shop.path).unwrap();
    let good = write(&shop, "r.csv", b"user,isbn,rating\nann,9780306406157,4\n");
    shop.call(&["import", &good, "/nowhere/r.csv"]).failed(66, "/nowhere/r.csv");
    let odd = write(&shop, "odd.csv", b"alpha beta gamma\none two three\n");
    shop.call(&["import", &odd]).failed(78, "alpha beta gamma");
    let cut = gzip(&book_crossing(2000));
    assert!(std::fs::read(&shop.path).unwrap() == before);
    let cut = write(&shop, "cut.csv.gz", &cut[..cut.len() / 2]);
    shop.call(&["import", &cut]).failed(74, "cut.csv.gz");
}

#[test]
fn parquet_is_read_like_text() {
    use polars::prelude::*;
    let shop = Shop::empty();
    shop.sql("CREATE UNIQUE INDEX one ON ratings (user_id, isbn)");
    let write = |name: &str, columns: Vec<Column>| {
        let path = shop.folder.path().join(name);
        let mut frame = DataFrame::new_infer_height(columns).unwrap();
        ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // More than are taken out at a time.
    let many = 70_000u32;
    let ratings = write(
        "ratings.parquet",
        vec![
            Column::new("userId".into(), (0..many).map(|n| format!("u{}", n / 7)).collect::<Vec<_>>()),
            Column::new("isbn".into(), (0..many).map(|n| isbn(u64::from(n % 7))).collect::<Vec<_>>()),
            Column::new(
                "rating".into(),
                (0..many).map(|n| (n % 5 != 0).then_some(f64::from(n % 10) / 2.0)).collect::<Vec<_>>(),
            ),
            Column::new("timestamp".into(), (0..i64::from(many)).collect::<Vec<_>>()),
            Column::new("liked".into(), vec![true; many as usize]),
        ],
    );
    let titles = ["A \"title\", with all\nthere is", "back\\slash", ""];
    let books = write(
        "books.parquet",
        vec![
            Column::new("isbn13".into(), (0..3).map(isbn).collect::<Vec<_>>()),
            Column::new("title".into(), titles.to_vec()),
        ],
    );
    let ran = shop.call(&["import", &ratings, &books, "--json"]).ok();
    assert!(ran.stderr.contains("Parquet, without liked"), "{}", ran.stderr);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), i64::from(many));
    assert_eq!(
        shop.rows(
            "SELECT rating, rated_at, typeof(rated_at) FROM ratings WHERE user_id = 'u9999' ORDER BY isbn"
        )[..2],
        ["1.5|69993|integer", "2|69994|integer"]
    );
    assert_eq!(
        shop.one::<i64>("SELECT count(*) FROM ratings WHERE rating = 0"),
        14_000,
        "nothing says not rated"
    );
    assert_eq!(
        shop.rows("SELECT title FROM books ORDER BY isbn"),
        ["A \"title\", with all there is", "back\\slash", "NULL"]
    );

    // Twice is once.
    shop.call(&["import", &ratings]).ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), i64::from(many));
    let damaged = shop.folder.path().join("cut.parquet");
    std::fs::write(&damaged, &std::fs::read(&ratings).unwrap()[..5000]).unwrap();
    shop.call(&["import", damaged.to_str().unwrap()]).failed(74, "damaged");
    let odd = write("odd.parquet", vec![Column::new("yes".into(), [true, false])]);
    shop.call(&["import", &odd]).failed(78, "no column that can be read");
}

#[test]
fn damaged_parquet_is_an_error_about_the_file() {
    use polars::prelude::*;
    let shop = Shop::empty();
    let path = shop.folder.path().join("ratings.parquet");
    let mut frame = DataFrame::new_infer_height(vec![
        Column::new("user_id".into(), (0..300i64).map(|n| n / 5).collect::<Vec<_>>()),
        Column::new("isbn".into(), (0..300).map(|n| isbn(n % 40)).collect::<Vec<_>>()),
        Column::new("rating".into(), (0..300).map(|n| f64::from(n % 10)).collect::<Vec<_>>()),
    ])
    .unwrap();
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut random = crate::common::Random(11);
    let mut refused = 0;
    for _ in 0..150 {
        // Most of the structure stands at the end.
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(3) {
            let back = random.below(1200.min(bytes.len() as u64)) as usize;
            let place = bytes.len() - 1 - back;
            bytes[place] = random.below(256) as u8;
        }
        std::fs::write(&path, bytes).unwrap();
        let ran = shop.call(&["import", path.to_str().unwrap()]);
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("a defect"), "{}", ran.stderr);
        // Damage within values, which nothing in the file tells of, may give other values.
        assert!([0, 65, 74, 78].contains(&ran.code), "{ran:?}");
        refused += u64::from(ran.code == 74);
    }
    assert!(refused > 50, "{refused} of 150 were found out");
    // And one that no row stands behind.
    std::fs::write(&path, &whole[..4]).unwrap();
    shop.call(&["import", path.to_str().unwrap()]).failed(74, "what to do");
}

/// Imports a text under a name, with flags, and returns what was said and the rows of ratings.
pub fn imported(name: &str, bytes: &[u8], flags: &[&str]) -> (Shop, crate::common::Ran) {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let file = write(&shop, name, bytes);
    let words: Vec<&str> = ["import", &file].iter().chain(flags).copied().collect();
    let ran = shop.call(&words);
    (shop, ran)
}

pub const ROWS: &str = "SELECT user_id, isbn, CAST(rating AS INTEGER) FROM ratings ORDER BY 1, 2";

#[test]
fn columns_are_known_by_name_and_by_what_they_hold() {
    let [one, two] = ["9780306406157", "9780804429573"];
    let expected = [format!("1|{one}|3"), format!("1|{two}|4"), format!("2|{one}|5")];
    let rows = [("1", one, "3"), ("1", two, "4"), ("2", one, "5")];
    let text = |head: &str, row: fn(&str, &str, &str) -> String| {
        let lines: Vec<String> = rows.iter().map(|(user, isbn, rating)| row(user, isbn, rating)).collect();
        format!("{head}{}\n", lines.join("\n"))
    };
    for (name, text) in [
        ("isbn_first.csv", text("ISBN-13,Customer ID,Star Rating\n", |u, i, r| format!("{i},{u},{r}"))),
        ("member.csv", text("member_id,isbn,rating\n", |u, i, r| format!("{u},{i},{r}"))),
        ("kunde.csv", text("Kundennummer;EAN;Bewertung\n", |u, i, r| format!("{u};{i};{r}"))),
        (
            "titled.csv",
            text("Ratings of the club\n\nisbn,user_id,rating\n", |u, i, r| format!("{i},{u},{r}")),
        ),
        ("sep.csv", text("sep=;\nisbn;user_id;rating\n", |u, i, r| format!("{i};{u};{r}"))),
        ("pipe.txt", text("user_id|isbn|rating\n", |u, i, r| format!("{u}|{i}|{r}"))),
        ("amazon.csv", text("", |u, i, r| format!("{i},{u},{r}.0,17012870{u}7"))),
        ("dressed.csv", text("user,isbn,rating\n", |u, i, r| format!("{u}.0,\"=\"\"{i}\"\"\",{r}"))),
        ("mac.csv", text("user_id,isbn,rating\n", |u, i, r| format!("{u},{i},{r}")).replace('\n', "\r")),
        (
            "rows.jsonl",
            text("", |u, i, r| format!("{{\"user_id\": {u}, \"isbn\": \"{i}\", \"rating\": {r}}}")),
        ),
        (
            "rows.json",
            format!(
                "[{}]",
                text("", |u, i, r| format!("{{\"reader\": {u}, \"ean\": \"{i}\", \"stars\": {r}}},"))
            )
            .replace(",\n]", "]"),
        ),
    ] {
        let (shop, ran) = imported(name, text.as_bytes(), &[]);
        ran.ok();
        assert_eq!(shop.rows(ROWS), expected, "{name}");
    }
    let wide: Vec<u8> = text("user_id\tisbn\trating\n", |u, i, r| format!("{u}\t{i}\t{r}"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for bytes in [wide.clone(), [b"\xff\xfe".to_vec(), wide].concat()] {
        let (shop, ran) = imported("wide.txt", &bytes, &[]);
        ran.ok();
        assert_eq!(shop.rows(ROWS), expected);
    }
}

#[test]
fn what_is_left_out_is_said_and_what_is_doubtful_is_asked() {
    let sales = b"Order No,Buyer Name,Thing\n1,C1,9780306406157\n2,C2,9780306406157\n3,C2,9780804429573\n";
    let (shop, ran) = imported("sales.csv", sales, &["--columns", "user=buyer name,isbn=Thing"]);
    let ran = ran.ok();
    assert!(ran.stderr.contains("without Order No"), "{}", ran.stderr);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings WHERE user_id LIKE 'C%'"), 3);
    imported("sales.csv", sales, &["--columns", "-,user,isbn"]).1.ok();
    imported("sales.csv", sales, &["--columns", "user=Buyers"]).1.failed(78, "did you mean Buyer Name?");
    let near = b"old_user_ref,new_user_ref,isbn,rating\n1,a,9780306406157,5\n2,b,9780306406157,4\n";
    imported("near.csv", near, &[]).1.failed(78, "either old_user_ref or new_user_ref is the reader");
    let dump = b"/works/OL45031W\t/books/OL7000154M\t5\t2022-01-01\n/works/OL45062W\t/books/OL7000231M\t3\t2022-01-03\n";
    imported("dump.txt", dump, &[]).1.failed(78, "no readers");
    let dates = b"user,isbn,rating,date\n1,9780306406157,5,03/04/2024\n2,9780306406157,5,05/06/2024\n";
    imported("dates.csv", dates, &[]).1.failed(78, "--dates day-first");
    let (shop, ran) = imported("dates.csv", dates, &["--dates", "day-first"]);
    ran.ok();
    assert_eq!(shop.rows("SELECT rated_at FROM ratings ORDER BY 1"), ["2024-04-03", "2024-06-05"]);
    for (name, bytes, what) in [
        ("shop.sqlite", &b"SQLite format 3\0 and more"[..], "nightshelf init"),
        ("page.csv", b"<!DOCTYPE html><html></html>", "a web page"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "XLSX or CSV"),
        ("packed.csv.xz", b"\xfd7zXZ\0", "unxz"),
    ] {
        imported(name, bytes, &[]).1.failed(78, what);
    }
}

#[test]
fn a_library_of_ones_own_has_an_owner_and_wishes_are_no_readings() {
    let goodreads = "Book Id,Title,Author,ISBN,ISBN13,My Rating,Average Rating,Date Read,Exclusive Shelf\n\
        1,Emma,Jane Austen,\"=\"\"0306406152\"\"\",\"=\"\"9780306406157\"\"\",5,4.01,2024/02/01,read\n\
        2,Dune,Frank Herbert,\"=\"\"080442957X\"\"\",\"=\"\"9780804429573\"\"\",0,4.2,,to-read\n\
        3,Ulysses,James Joyce,\"=\"\"0002005018\"\"\",\"=\"\"9780002005012\"\"\",0,3.7,,did-not-finish\n";
    imported("goodreads.csv", goodreads.as_bytes(), &[]).1.failed(78, "--user NAME");
    let (shop, ran) = imported("goodreads.csv", goodreads.as_bytes(), &["--user", "anna", "--json"]);
    let told = ran.ok().json();
    assert_eq!(shop.rows("SELECT * FROM ratings"), ["anna|0306406152|5|2024-02-01"]);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM books WHERE author IS NOT NULL"), 3);
    let rejected = &told["files"][0]["rejected"];
    assert_eq!((rejected["not_read"].as_i64(), rejected["given_up"].as_i64()), (Some(1), Some(1)), "{told}");
    let storygraph =
        b"Title,Authors,ISBN/UID,Read Status,Star Rating\nEmma,Jane Austen,9780306406157,read,3.75\n";
    let (shop, ran) = imported("storygraph.csv", storygraph, &["--user", "7"]);
    ran.ok();
    assert_eq!(shop.rows("SELECT user_id, rating FROM ratings"), ["7|3.75"]);
    let shelves = b"user_id,book_id,is_read,rating\n0,948,1,5\n0,947,0,0\n1,948,1,4\n1,946,0,0\n";
    let (shop, ran) = imported("shelves.csv", shelves, &[]);
    assert!(ran.ok().stderr.contains("left out: 2 not_read (by is_read"));
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 2);
    let (shop, ran) = imported("shelves.csv", shelves, &["--where", "is_read=0,1"]);
    ran.ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 4);
}

#[test]
fn the_title_of_a_review_is_not_that_of_its_book() {
    let line = |user: &str, isbn: &str, title: &str| {
        format!(
            "{{\"rating\": 5.0, \"title\": \"{title}\", \"text\": \"x\", \"parent_asin\": \"{isbn}\", \"user_id\": \"{user}\", \"read_at\": \"Sat Oct 07 00:00:00 -0700 2017\"}}\n"
        )
    };
    let few = line("a", "0306406152", "Five stars") + &line("b", "080442957X", "Good");
    let many: String =
        ["Five stars", "Good", "So so", "Oh"].map(|title| line(title, "0306406152", title)).concat();
    for text in [few, many.replace("\"text\": \"x\", ", "")] {
        let (shop, ran) = imported("reviews.jsonl", text.as_bytes(), &[]);
        assert!(ran.ok().stderr.contains("title"));
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name = 'books'"), 0);
        assert_eq!(
            shop.one::<i64>(
                "SELECT count(*) FROM ratings WHERE isbn LIKE '0%' AND rated_at LIKE '2017-10-07 07%'"
            ),
            shop.one::<i64>("SELECT count(*) FROM ratings")
        );
    }
}

#[test]
fn the_newest_rating_wins_whatever_the_order_of_lines() {
    let text = b"user_id,isbn,rating,rated_at\n1,9780306406157,5,2024-06-01\n1,9780306406157,1,2019-01-01\n2,9780306406157,4,2020-01-01\n";
    let (shop, ran) = imported("newest.csv", text, &["--json"]);
    let told = ran.ok().json();
    let of = |what: &str| told["files"][0][what].as_i64().unwrap();
    assert_eq!((of("written"), of("updated"), of("left_alone")), (2, 0, 1), "{told}");
    assert_eq!(shop.rows(ROWS), ["1|9780306406157|5", "2|9780306406157|4"]);
    let later = write(
        &shop,
        "later.csv",
        b"user,isbn,rating,time\n2,9780306406157,2,1700000000\n1,9780306406157,2,1500000000\n",
    );
    shop.call(&["import", &later]).ok();
    assert_eq!(shop.rows(ROWS), ["1|9780306406157|5", "2|9780306406157|2"]);
}

#[test]
fn ratings_and_books_that_come_together_go_by_the_same_column() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let ratings = write(&shop, "ratings.csv", b"user_id,book_id,rating\n1,1,5\n1,2,4\n2,1,3\n2,3,4\n");
    let books = write(
        &shop,
        "books.csv",
        b"book_id,isbn,authors,title\n1,439023483,Suzanne Collins,The Hunger Games\n2,439554934,J.K. Rowling,Harry Potter\n3,316015849,S. Meyer,Twilight\n",
    );
    let said = shop.call(&["import", &ratings, "--key", "text"]).ok().stderr
        + &shop.call(&["import", &books, "--key", "text"]).ok().stderr;
    assert!(said.contains("none of 3 rated books is in table books"), "{said}");
    let said = shop.call(&["run", "--key", "text"]).ok().stderr;
    assert!(said.contains("none of 3 rated books is in table books"), "{said}");
    let doctor = shop.call(&["doctor", "--key", "text"]).stdout;
    assert!(doctor.contains("none of 3 rated books"), "{doctor}");
    // But not where the ratings' column of that name holds ISBNs.
    let by_isbn = Shop::empty();
    by_isbn.sql("DROP TABLE ratings");
    let other = write(&by_isbn, "ratings.csv", b"user_id,book_id,rating\n1,0439023483,5\n2,0439554934,4\n");
    by_isbn.call(&["import", &other, &books]).ok();
    assert_eq!(by_isbn.one::<i64>("SELECT count(*) FROM books WHERE isbn = '439023483'"), 1);
    shop.sql("DROP TABLE books");
    let said = shop.call(&["import", &ratings, &books, "--key", "text"]).ok().stderr;
    assert!(!said.contains("none of"), "{said}");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings JOIN books USING (isbn)"), 4);
}
