use super::*;
use proptest::prelude::*;

fn valid(spelling: &str) -> Option<(String, Option<Mending>)> {
    match parse(spelling) {
        Some(Key::Isbn { isbn13, mended, .. }) => Some((isbn13, mended)),
        _ => None,
    }
}

fn why_not(spelling: &str) -> Option<Reason> {
    match parse(spelling) {
        Some(Key::Opaque { reason, .. }) => Some(reason),
        _ => None,
    }
}

#[test]
fn spellings_of_one_book_meet() {
    // The example of the ISBN Users' Manual's arithmetic, in every dress.
    for spelling in [
        "9780306406157",
        "978-0-306-40615-7",
        "0306406152",
        "0-306-40615-2",
        "ISBN 0-306-40615-2",
        "isbn-13: 978-0-306-40615-7",
        "ISBN-10:0306406152",
        "ISBN10 0306406152",
        "ISBN13 9780306406157",
        " 0 306 40615 2 ",
        "０３０６４０６１５２",
        "978\u{2010}0\u{2013}306－40615\u{2212}7",
        "\"0306406152\"",
        "\u{feff}0306.40615.2",
        "=\"9780306406157\"",
        "=\"0306406152\"",
        "[0306406152]",
        "0306406152 (pbk.)",
        "0306406152 pbk",
        "9780306406157 :",
        "9780306406157 (hbk.) : £8.99",
        "0306406152 | 9780306406157",
        "9780306406157, 0306406152",
        "0306406153; 0-306-40615-2",
        "urn:isbn:9780306406157",
        "ISBN(13): 9780306406157",
        "9780306406157.0",
        "0306406152.00",
        "9.780306406157E+12",
        "9780306406157 51299",
        "978030640615751299",
        "978030640615712",
        "<9780306406157>",
        "0 306 40615 2 (pbk.)",
    ] {
        assert_eq!(valid(spelling), Some(("9780306406157".into(), None)), "{spelling:?}");
    }
    for repaired in ["306406152", "306-40615-2", "306406152.0", "3.06406152E+08"] {
        assert_eq!(valid(repaired), Some(("9780306406157".into(), Some(Mending::Zeros))), "{repaired:?}");
    }
    for cut in ["9.78030640615E+12", "9,78030640615e+12", "978030640615E1"] {
        let expected = cut.contains(['.', ',']).then(|| ("9780306406157".into(), Some(Mending::CheckDigit)));
        assert_eq!(valid(cut), expected, "{cut:?}");
    }
    assert_eq!(valid("080442957x"), valid("9780804429573"));
    assert_eq!(valid("2005018"), Some(("9780002005012".into(), Some(Mending::Zeros))));
}

#[test]
fn a_point_is_never_just_dropped() {
    // Without the point this would be 3038803170, an ISBN-10.
    assert!(valid("3038803170").is_some());
    assert_ne!(valid("303880317.0"), valid("3038803170"));
    assert!(matches!(parse("1.5"), Some(Key::Opaque { text, .. }) if text == "1.5"));
}

#[test]
fn only_a_short_number_may_be_somebodys_own() {
    let own = |spelling: &str| match parse(spelling) {
        Some(Key::Isbn { bare, .. }) => bare,
        _ => None,
    };
    assert_eq!(own("9619658"), Some("9619658".into()));
    assert_eq!(own(" 0306406152.0 "), Some("0306406152".into()));
    assert_eq!(own("sku:0306406152"), Some("SKU:0306406152".into()));
    for surely in ["0-306-40615-2", "ISBN 0306406152", "9780306406157"] {
        assert_eq!(own(surely), None, "{surely}");
    }
}

#[test]
fn a_label_is_not_part_of_the_number() {
    let plain = valid("1390000000").or(valid("139000000X"));
    let nine = b"139000000";
    let isbn10 = format!("139000000{}", char::from(check_digit_10(nine)));
    assert!(valid(&isbn10).is_some());
    assert_eq!(valid(&format!("ISBN {isbn10}")), valid(&isbn10));
    assert_eq!(valid(&format!("ISBN-10 {isbn10}")), valid(&isbn10));
    drop(plain);
}

#[test]
fn what_is_no_isbn_says_why() {
    for (spelling, reason) in [
        ("0306406153", Reason::BadCheckDigit),
        ("9780306406158", Reason::BadCheckDigit),
        ("4006381333931", Reason::NotABook),
        ("9,78292E+12", Reason::ScientificNotation),
        ("9.78292E+12", Reason::ScientificNotation),
        ("B000FC1PJI", Reason::Asin),
        ("97803064061571", Reason::WrongLength),
        ("42", Reason::WrongLength),
        ("000000", Reason::Placeholder),
        ("0", Reason::Placeholder),
        ("1111111111", Reason::Placeholder),
        ("9999999999999", Reason::Placeholder),
        ("n/a", Reason::Placeholder),
        ("None", Reason::Placeholder),
        ("null", Reason::Placeholder),
        ("Unknown", Reason::Placeholder),
        ("9.78119E+12", Reason::ScientificNotation),
        ("4.39E+08", Reason::ScientificNotation),
        ("Dune", Reason::NotAnIsbn),
        // In it stand 00-0700 2017, an ISBN-10 by chance.
        ("Sat Oct 07 00:00:00 -0700 2017", Reason::NotAnIsbn),
    ] {
        assert_eq!(why_not(spelling), Some(reason), "{spelling:?}");
    }
    assert_eq!(parse(" - "), None);
    assert_eq!(parse("ISBN:"), None);
}

prop_compose! {
    fn isbn10()(nine in "[0-9]{9}") -> String {
        format!("{nine}{}", char::from(check_digit_10(nine.as_bytes())))
    }
}

/// Anything that a column may hold, most of it close to what an ISBN looks like.
fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[0-9]{1,13}",
        2 => "(978|979|977)[0-9]{10}",
        2 => "[0-9]{9}[0-9Xx]",
        1 => "(ISBN|isbn|ISBN-13:|ISBN10|Isbn 13 #|B0)",
        1 => "[-. '\"eE+,:x\u{2010}\u{2013}\u{a0}\u{200b}\u{feff}]{1,3}",
        1 => "[\u{ff10}-\u{ff19}]{1,13}",
        1 => "[\u{660}-\u{669}]{1,10}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_stands_there_becomes_one_key_that_stays(spelling in prop_oneof![anything(), any::<String>()]) {
        let key = parse(&spelling);
        let (text, is_isbn) = match &key {
            None => return Ok(()),
            Some(Key::Isbn { isbn13, .. }) => (isbn13, true),
            Some(Key::Opaque { text, .. }) => (text, false),
        };
        if is_isbn {
            prop_assert!(text.len() == 13 && (text.starts_with("978") || text.starts_with("979")), "{text}");
            prop_assert_eq!(text.as_bytes()[12], check_digit_13(&text.as_bytes()[..12]));
        }
        // But for the point of a number that is none.
        prop_assert!(!text.is_empty() && !text.contains(|c| is_separator(c) && c != '.'), "{text:?}");
        // A key read as a spelling is the same key.
        match parse(text) {
            Some(Key::Isbn { isbn13, mended, .. }) => {
                prop_assert!(is_isbn && isbn13 == *text && mended.is_none())
            }
            Some(Key::Opaque { text: again, .. }) => prop_assert_eq!((&again, false), (text, is_isbn)),
            None => prop_assert!(false, "{text:?} is nothing"),
        }
        // Nor do case, and blanks around it, make another one of it.
        let key = key.map(|key| format!("{key:?}"));
        prop_assert_eq!(parse(&format!(" {spelling}\t")).map(|key| format!("{key:?}")), key);
    }

    #[test]
    fn an_isbn10_and_its_isbn13_meet(isbn10 in isbn10()) {
        let twelve = format!("978{}", &isbn10[..9]);
        let isbn13 = format!("{twelve}{}", char::from(check_digit_13(twelve.as_bytes())));
        prop_assume!(!is_placeholder(&isbn10));
        prop_assert_eq!(valid(&isbn10), Some((isbn13.clone(), None)));
        prop_assert_eq!(valid(&isbn13), Some((isbn13, None)));
    }

    #[test]
    fn hyphens_spaces_and_case_never_matter(
        isbn10 in isbn10(),
        gaps in prop::collection::vec("[- \u{2010}\u{2014}\u{a0}]{0,2}", 10),
    ) {
        let spelled: String = isbn10.chars().zip(&gaps).map(|(c, gap)| format!("{c}{gap}")).collect();
        prop_assert_eq!(valid(&spelled.to_lowercase()), valid(&isbn10));
    }

    #[test]
    fn lost_zeros_come_back(rest in "[1-9][0-9]{5,7}") {
        let front = format!("{rest:0>9}");
        let check = char::from(check_digit_10(front.as_bytes()));
        prop_assert_eq!(
            valid(&format!("{rest}{check}")).map(|(isbn13, _)| isbn13),
            valid(&format!("{front}{check}")).map(|(isbn13, _)| isbn13)
        );
    }

    #[test]
    fn a_wrong_check_digit_never_becomes_a_key(isbn10 in isbn10(), wrong in "[0-9X]") {
        prop_assume!(!isbn10.ends_with(&wrong));
        prop_assert_eq!(why_not(&format!("{}{wrong}", &isbn10[..9])), Some(Reason::BadCheckDigit));
    }

    #[test]
    fn any_two_digits_swapped_or_one_changed_is_noticed(isbn10 in isbn10(), at in 0usize..9, to in 0u8..10) {
        let mut changed = isbn10.clone().into_bytes();
        changed[at] = b'0' + to;
        prop_assume!(changed != isbn10.as_bytes());
        prop_assert!(valid(&String::from_utf8(changed).expect("digits")).is_none());
    }

    #[test]
    fn nothing_panics_and_folding_is_idempotent(text in "\\PC*") {
        if let Some(Key::Opaque { text: folded, reason }) = parse(&text) {
            prop_assert!(!folded.is_empty());
            let _ = reason.word();
        }
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
