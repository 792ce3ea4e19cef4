//! Files that are packages of others: zip, and the workbooks of spreadsheets.

use std::io::Write;

use crate::common::Shop;
use crate::import::{ROWS, imported, write};

/// A zip of deflated files, made by hand, whose directory may lie about their size.
fn zip(files: &[(&str, &[u8])], claimed: Option<u32>) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        let packed = packer.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let mut about = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        about.extend(crc.sum().to_le_bytes());
        about.extend((packed.len() as u32).to_le_bytes());
        about.extend(claimed.unwrap_or(bytes.len() as u32).to_le_bytes());
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&about);
        // Comment, disk, attributes.
        directory.extend([0; 10]);
        directory.extend((zip.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        zip.extend([b"PK\x03\x04".to_vec(), about, name.as_bytes().to_vec(), packed].concat());
    }
    let start = zip.len() as u32;
    let count = (files.len() as u16).to_le_bytes();
    zip.extend(&directory);
    zip.extend([b"PK\x05\x06\0\0\0\0".to_vec(), count.to_vec(), count.to_vec()].concat());
    zip.extend((directory.len() as u32).to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// A workbook with a sheet of notes, and one of ratings below a title.
fn workbook() -> Vec<u8> {
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let types = format!(
        r#"<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
        <Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>"#
    );
    let rels = format!(
        r#"<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{schema}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    let book = format!(
        r#"<workbook xmlns="{main}" xmlns:r="{schema}"><sheets><sheet name="Notes" sheetId="1" r:id="s1"/>
        <sheet name="Ratings" sheetId="2" r:id="s2"/></sheets></workbook>"#
    );
    let links = format!(
        r#"<Relationships xmlns="{package}/relationships"><Relationship Id="s1" Type="{schema}/worksheet" Target="worksheets/sheet1.xml"/>
        <Relationship Id="s2" Type="{schema}/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#
    );
    let sheet = |rows: &[&[&str]]| {
        let cell = |text: &&str| match text.parse::<f64>() {
            Ok(number) => format!("<c><v>{number}</v></c>"),
            Err(_) => format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#),
        };
        let row = |row: &&[&str]| format!("<row>{}</row>", row.iter().map(cell).collect::<String>());
        format!(
            r#"<worksheet xmlns="{main}"><sheetData>{}</sheetData></worksheet>"#,
            rows.iter().map(row).collect::<String>()
        )
    };
    // And a cell at the very end: nobody makes all that are before it.
    let notes = sheet(&[&["only a note"]])
        .replace("</sheetData>", "<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row></sheetData>");
    let ratings = sheet(&[
        &["Our reading club"],
        &["Reader", "ISBN", "Stars"],
        &["1", "9780306406157", "5"],
        &["2", "9780306406157", "4"],
    ]);
    zip(
        &[
            ("[Content_Types].xml", types.as_bytes()),
            ("_rels/.rels", rels.as_bytes()),
            ("xl/workbook.xml", book.as_bytes()),
            ("xl/_rels/workbook.xml.rels", links.as_bytes()),
            ("xl/worksheets/sheet1.xml", notes.as_bytes()),
            ("xl/worksheets/sheet2.xml", ratings.as_bytes()),
        ],
        None,
    )
}

#[test]
fn a_sheet_of_a_workbook_is_read() {
    let (shop, ran) = imported("club.xlsx", &workbook(), &["--sheet", "Ratings"]);
    assert!(ran.ok().stderr.contains("XLSX, sheet Ratings"));
    assert_eq!(shop.rows(ROWS), ["1|9780306406157|5", "2|9780306406157|4"]);
    imported("club.xlsx", &workbook(), &["--sheet", "Rating"]).1.failed(78, "did you mean Ratings?");
    imported("club.xlsx", &workbook(), &[]).1.failed(78, "wider than 500 columns");
}

#[test]
fn damaged_packages_are_errors_about_the_file() {
    let text = b"user_id,isbn,rating\n1,9780306406157,5\n2,9780306406157,4\n";
    let json = br#"[{"user_id": 1, "isbn": "9780306406157", "rating": 5}, {"user_id": 2, "isbn": "9780306406157", "rating": 4}]"#;
    let whole = [
        ("r.xlsx", workbook(), &["--sheet", "Ratings"][..]),
        ("r.zip", zip(&[("ratings.csv", text)], None), &[]),
        ("r.json", json.to_vec(), &[]),
    ];
    let mut random = crate::common::Random(17);
    let shop = Shop::empty();
    for (name, whole, flags) in whole {
        let mut refused = 0;
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.below(3) {
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.below(256) as u8;
            }
            bytes.truncate(bytes.len() - random.below(2) as usize * random.below(40) as usize);
            let file = write(&shop, name, &bytes);
            let words: Vec<&str> = ["import", &file].iter().chain(flags).copied().collect();
            let ran = shop.call(&words);
            assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("a defect"), "{}", ran.stderr);
            assert!([0, 65, 74, 78].contains(&ran.code), "{ran:?}");
            refused += u64::from(ran.code != 0);
        }
        assert!(refused > 15, "{name}: {refused} of 60 were found out");
    }
}

#[test]
fn a_zip_gives_its_tables_and_a_bomb_is_refused() {
    let text: &[u8] = b"user_id,isbn,rating\n1,9780306406157,5\n2,9780306406157,4\n";
    let (shop, ran) = imported("set.zip", &zip(&[("data/ratings.csv", text)], None), &[]);
    ran.ok();
    assert_eq!(shop.rows(ROWS), ["1|9780306406157|5", "2|9780306406157|4"]);
    imported("set.zip", &zip(&[("picture.png", text)], None), &[]).1.failed(78, "no table");
    imported("set.zip", &zip(&[("ratings.csv", text)], Some(u32::MAX)), &[]).1.failed(78, "unpacks to 4 GB");
    // It is longer than it says.
    let long = [text, &b"3,9780306406157,4\n".repeat(9000)].concat();
    imported("set.zip", &zip(&[("ratings.csv", &long)], Some(100)), &[]).1.failed(74, "directory");
    imported("set.zip", &zip(&[("ratings.csv", text)], None)[..60], &[]).1.failed(74, "damaged");
}

#[test]
fn of_a_set_of_tables_what_is_not_needed_is_left_out_in_words() {
    let ratings: &[u8] = b"User-ID,ISBN,Book-Rating\n1,9780306406157,5\n2,9780306406157,4\n";
    let users: &[u8] = b"User-ID,Location,Age\n1,oslo,18\n2,bergen,33\n";
    let books: &[u8] = b"ISBN,Book-Title,Book-Author\n9780306406157,Emma,Jane Austen\n";
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let files = [("Users.csv", users), ("Ratings.csv", ratings), ("Books.csv", books)];
    let paths: Vec<String> = files.iter().map(|(name, bytes)| write(&shop, name, bytes)).collect();
    let said = shop.call(&["import", &paths[0], &paths[1], &paths[2]]).ok().stderr;
    assert!(said.contains("Users.csv: left out, as it has readers, and no books"), "{said}");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings JOIN books USING (isbn)"), 2);
    shop.call(&["import", &paths[0]]).failed(78, "has readers, and no books");
    let (shop, ran) = imported("kaggle.zip", &zip(&files, None), &[]);
    ran.ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings JOIN books USING (isbn)"), 2);
}
