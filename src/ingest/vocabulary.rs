//! What a column can hold, and the names it goes by, in English, German, French, Spanish and Dutch.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    User,
    Isbn,
    Rating,
    RatedAt,
    Title,
    Author,
    Year,
    Publisher,
    Genre,
    Description,
    Series,
    Volume,
    /// Whether the book was read at all: a shelf, a status.
    State,
    /// Not imported.
    Skip,
}

/// Names of columns, the best first: a file with both `isbn` and `book_id` means `isbn`. Only letters and digits count,
/// in either case; the first of each is what `--columns` calls it.
#[rustfmt::skip]
pub(super) const NAMES: [(Field, &[&str]); 13] = [
    (Field::User, &[
            "user", "user_id", "reader", "reader_id", "customer_id", "customer", "member_id", "member",
            "patron_id", "patron", "borrower_id", "borrower", "borrowernumber", "account_id", "account",
            "person_id", "person", "client_id", "client", "buyer_id", "buyer", "reviewer_id", "reviewer",
            "user_uuid", "username", "login", "uid", "card_no", "cardnumber", "customer_number", "kunde",
            "kunden_id", "kundennummer", "kundennr", "leser", "leser_id", "lesernummer", "benutzer", "benutzer_id",
            "nutzer", "nutzer_id", "mitglied", "entleiher", "utilisateur", "id_utilisateur", "lecteur", "adherent",
            "abonne", "emprunteur", "acheteur", "usuario", "usuario_id", "id_usuario", "lector", "cliente",
            "socio", "prestatario", "gebruiker", "gebruiker_id", "lezer", "klant", "klantnummer", "lener", "lid",
        ]),
    (Field::Isbn, &[
            "isbn", "isbn13", "isbn10", "isbn_uid", "book_isbn", "ean", "ean13", "gtin", "isbns", "parent_asin",
            "asin", "barcode", "book_id", "book", "movie_id", "item_id", "product_id", "edition_id", "work_id",
            "title_id", "article_id", "film_id", "biblionumber", "biblio_id", "movie", "item", "product",
            "edition", "work", "film", "article", "sku", "buch", "buch_id", "werk", "artikel", "artikelnummer",
            "livre", "livre_id", "ouvrage", "libro", "libro_id", "obra", "boek", "boek_id", "copy_id",
        ]),
    (Field::Rating, &[
            "rating", "my_rating", "book_rating", "stars", "star_rating", "user_rating", "overall", "rating_value",
            "score", "review_score", "grade", "mark", "vote", "points", "bewertung", "sterne", "wertung", "note",
            "etoiles", "evaluation", "puntuacion", "calificacion", "valoracion", "nota", "estrellas",
            "beoordeling", "waardering", "sterren", "cijfer",
        ]),
    (Field::RatedAt, &[
            "rated_at", "rated_on", "timestamp", "unix_review_time", "review_time", "reviewed_at", "review_date",
            "date_read", "last_date_read", "read_at", "finished_at", "borrowed_at", "loaned_at", "loan_date",
            "issuedate", "issue_date", "checkout_date", "ordered_at", "order_date", "purchased_at",
            "purchase_date", "created_at", "created", "created_on", "date_added", "added_at", "entry_date",
            "updated_at", "last_modified", "date", "time", "datetime", "ts", "when", "datum", "ausleihdatum",
            "bestelldatum", "kaufdatum", "zeit", "date_pret", "date_emprunt", "date_achat", "fecha",
            "fecha_prestamo", "leendatum", "uitleendatum",
        ]),
    (Field::Title, &[
            "title", "book_title", "original_title", "item_title", "movie_title", "full_title", "titel",
            "buchtitel", "titre", "titulo", "name", "book_name", "item_name",
        ]),
    (Field::Author, &[
            "author", "book_author", "authors", "primary_author", "writer", "creator", "author_name", "autor",
            "verfasser", "autoren", "auteur", "auteurs", "autores", "schrijver", "director",
        ]),
    (Field::Year, &[
            "year", "year_of_publication", "publication_year", "year_published", "original_publication_year",
            "pub_year", "pubdate", "erscheinungsjahr", "jahr", "annee", "ano", "jaar",
        ]),
    (Field::Publisher, &[
            "publisher", "publishers", "publisher_name", "imprint", "verlag", "editeur", "editorial", "uitgever",
            "studio",
        ]),
    (Field::Genre, &[
            "genre", "genres", "subject", "subjects", "category", "categories", "sachgruppe",
        ]),
    (Field::Description, &[
            "description", "summary", "blurb", "klappentext",
        ]),
    (Field::Series, &[
            "series", "series_title", "series_name", "reihe",
        ]),
    (Field::Volume, &[
            "volume", "series_index", "series_number", "band",
        ]),
    (Field::State, &[
            "state", "exclusive_shelf", "read_status", "reading_status", "status", "is_read", "is_finished", "is_completed", "completed",
            "finished", "shelf", "collections", "order_status", "loan_status",
        ]),
];

/// Words that make of a name another one: an average rating is nobody's.
pub(super) const OTHERS: [&str; 14] = [
    "average",
    "avg",
    "mean",
    "count",
    "counts",
    "total",
    "num",
    "lending",
    "helpful",
    "votes",
    "sort",
    "positions",
    "global",
    "image",
];
