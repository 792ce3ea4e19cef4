//! What the rows of a table are, by its name: something bought, borrowed, rated or only looked at, or no reading at all.

use super::fields::words;

/// What a row says that a reader did with a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Bought,
    Borrowed,
    Rated,
    Read,
    Seen,
}

/// Words in names of tables, in lower case and in the singular; longer words may end with one, as `userproductview` does.
#[rustfmt::skip]
const EVENTS: [(Event, &[&str]); 5] = [
    (Event::Bought, &[
        "order", "orderline", "orderitem", "lineitem", "purchase", "sale", "invoice", "transaction", "bestellung",
        "bestellposition", "kauf", "verkauf", "commande", "achat", "vente", "pedido", "compra", "venta", "bestelling",
        "aankoop", "verkoop",
    ]),
    (Event::Borrowed, &[
        "loan", "borrow", "borrowing", "checkout", "issue", "oldissue", "circulation", "rental", "lending", "history",
        "ausleihe", "emprunt", "pret", "prestamo", "uitlening",
    ]),
    (Event::Rated, &[
        "rating", "review", "vote", "bewertung", "rezension", "critique", "avis", "resena", "valoracion", "beoordeling",
        "recensie", "like", "favorite", "favourite",
    ]),
    (Event::Read, &["reading", "readings", "progress", "finished", "read"]),
    (Event::Seen, &["view", "visit", "click", "impression", "hit", "besuch", "visite", "visita", "bezoek"]),
];

/// What is wished for, laid aside, or only a copy.
#[rustfmt::skip]
const NONE: [&str; 26] = [
    "wish", "wishlist", "wunschliste", "merkliste", "cart", "basket", "warenkorb", "panier", "carrito", "winkelwagen",
    "hold", "reservation", "vormerkung", "queue", "tag", "tagging", "notification", "recommendation", "suggestion",
    "request", "backup", "bak", "tmp", "temp", "test", "staging",
];

/// What the rows of a table of this name are.
pub(super) fn event(name: &str) -> Option<Event> {
    let words: Vec<String> = words(name);
    let known = |list: &[&str]| words.iter().any(|word| list.iter().any(|known| is(word, known)));
    if is_no_reading(name) {
        return None;
    }
    // The end of a longer word; reviews are views only by the letter.
    let ends = |list: &[&str]| {
        let last = words.last().map(String::as_str).unwrap_or_default();
        list.iter().any(|known| {
            known.len() > 3
                && (last.ends_with(known) || last.strip_suffix('s').is_some_and(|last| last.ends_with(known)))
        })
    };
    let whole = EVENTS.iter().find(|(_, list)| known(list));
    whole.or_else(|| EVENTS.iter().find(|(_, list)| ends(list))).map(|(event, _)| *event)
}

/// Whether the name of a table says that it is of wishes, of carts, or a copy of another.
pub(super) fn is_no_reading(name: &str) -> bool {
    words(name).iter().any(|word| NONE.iter().any(|known| is(word, known)))
}

fn is(word: &str, known: &str) -> bool {
    let rest = word.strip_prefix(known);
    matches!(rest, Some("" | "s" | "es" | "n" | "en"))
}

impl Event {
    /// How much one counts: what was bought most, what was only looked at least.
    pub fn weight(self) -> f64 {
        match self {
            Self::Bought => 3.0,
            Self::Borrowed | Self::Rated | Self::Read => 1.0,
            Self::Seen => 0.2,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Bought => "bought",
            Self::Borrowed => "borrowed",
            Self::Rated => "rated",
            Self::Read => "read",
            Self::Seen => "looked at",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_say_what_happened() {
        for (name, expected) in [
            ("order_line", Some(Event::Bought)),
            ("order_items", Some(Event::Bought)),
            ("OrderItem", Some(Event::Bought)),
            ("old_issues", Some(Event::Borrowed)),
            ("member_history", Some(Event::Borrowed)),
            ("Ausleihen", Some(Event::Borrowed)),
            ("reviews_productreview", Some(Event::Rated)),
            ("BX-Book-Ratings", Some(Event::Rated)),
            ("analytics_userproductview", Some(Event::Seen)),
            ("page_views", Some(Event::Seen)),
            ("mediaProgresses", Some(Event::Read)),
            ("basket_line", None),
            ("wishlists_line", None),
            ("cart_items", None),
            ("orders_backup", None),
            ("holds", None),
            ("users", None),
            ("hitchhikers", None),
        ] {
            assert_eq!(event(name), expected, "{name}");
        }
        assert!(is_no_reading("basket_line") && !is_no_reading("order_line"));
    }
}
