//! Word lists for the demo's bookshop: titles by genre, names of people, publishers.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::IteratorRandom;

/// For each genre, patterns of titles, then the words for {who}, {what} and {place}. The most popular genre
/// comes first: crime, fantasy, love, science fiction, history, children, cookery, nature.
pub(super) const GENRES: [[&str; 4]; 8] = [
    [
        "The {who}'s Last {what}; Murder at {place}; The {who} and the {what}; A Body at {place};
         Nobody Saw the {who}; One {what} Too Many; The {what} at {place}; Who Killed the {who}?;
         Dinner with the {who}",
        "Clockmaker; Coroner; Locksmith; Night Porter; Forger; Notary; Ferryman; Piano Tuner",
        "Alibi; Confession; Witness; Motive; Inheritance; Verdict; Ransom; Poisoner; Suspect",
        "Harrow Lock; Gannet Point; Cutler Street; Villa Oriole; Pier Seven; the Hotel Meridian",
    ],
    [
        "The {who} of {place}; Of {what}s and {what}s; The {what}s of {place}; Ballad of the {who};
         The {who}'s {what}; Heir to {place}; Seven {what}s for {place}; Daughter of the {who}",
        "Dragon; Thornqueen; Oathbreaker; Runesmith; Stormwitch; Heron King; Moonwarden; Giant",
        "Crown; Oath; Blade; Omen; Throne; Ember; Spell; Shadow; Curse; Sorrow; Thorn; Winter",
        "Emberfell; Vael Tor; the Hollow Mountain; Caer Wynloch; the Ninth Gate; Duskhaven",
    ],
    [
        "Falling for the {who}; The {who}'s {what}; One {what} at {place}; Meet Me at {place};
         Never Marry a {who}; A {what} for the {who}; Christmas at {place}; Dear {who}, with Love",
        "Florist; Wedding Planner; Ferry Captain; Pastry Chef; Vet; Dance Teacher; Postman",
        "Kiss; Wedding; Love Letter; Valentine; Promise; Heart; First Dance; Second Chance",
        "Lavender Bay; Honeysuckle Lane; the Little Tea Shop; Rosewater Harbour; Willow Street",
    ],
    [
        "The {who} from {place}; {what} Zero; The {what} Beyond {place}; The {who}'s {what};
         Ten Thousand Years to {place}; The {what} Protocol; Do Not Wake the {who};
         Adrift off {place}",
        "Pilot; Android; Xenologist; Castaway; Terraformer; Navigator; Clone; Stowaway; Robot",
        "Orbit; Signal; Singularity; Starship; Algorithm; Supernova; Quantum Tide; Airlock",
        "Europa; Kepler Station; the Outer Ring; Proxima; Mars Colony Six; Orbital Nine; Ceres",
    ],
    [
        "A Short History of {what}; The {who}s of {place}; The Slow Fall of {place};
         {what} and Empire; How {what} Came to {place}; The {who}'s War;
         The World the {who}s Made; {what} and the Making of {place}",
        "Merchant; Mapmaker; Mason; Emperor; Admiral; Weaver; Pilgrim; Scribe; Banker; Sultan",
        "Salt; Silk; Paper; Indigo; Gunpowder; Iron; Cotton; Amber; Tin; Sugar; Ink; Pepper",
        "Byzantium; Carthage; Samarkand; Nineveh; Ragusa; Old Prague; Timbuktu; Malacca",
    ],
    [
        "The {who} Who Lost Her {what}; Goodnight, {who}!; {who} Goes to {place};
         Who Took {who}'s {what}?; There's a {who} in {place}!;
         How to Lend Your {what} to a {who}; The {who} and the {what}",
        "Penguin; Hedgehog; Pirate Cat; Grumpy Bear; Tiny Dragon; Sleepy Owl; Naughty Goat",
        "Birthday; Pyjamas; Lost Button; Balloon; Hiccups; Umbrella; Snowball; Wobbly Tooth",
        "the Bathtub; Puddle Street; the Zoo; School; Pickle Farm; Toadstool Wood; the Biscuit Tin",
    ],
    [
        "{what} and {what}; The {who}'s Kitchen; {what}: Eighty Simple Recipes; A Year of {what};
         Suppers from {place}; The {who}'s Book of {what}; {what} for Beginners;
         Breakfast in {place}; {what}, {what} and a Little Patience",
        "Fisherman; Grandmother; Baker; Beekeeper; Shepherd; Innkeeper; Noodle Maker; Forager",
        "Bread; Butter; Saffron; Lemons; Dumplings; Lentils; Olives; Honey; Pickles; Broth",
        "Trieste; Oaxaca; Lagos; Kyoto; Palermo; Beirut; Gujarat; a Small Kitchen; Tbilisi",
    ],
    [
        "The Quiet Life of {what}; A Year with the {who}; In Search of the {who}; Walking {place};
         {what}: A Natural History; What the {who} Knows; Listening to {what};
         The {who} of {place}; Among {what} and {what}; Notes from {place}",
        "Heron; Beaver; Swift; Badger; Kingfisher; Curlew; Otter; Honeybee; Barn Owl; Hare; Eel",
        "Moss; Lichen; Birdsong; Hedgerows; Tides; Mushrooms; Oaks; Frost; Seaweed; Rain; Ferns",
        "the Fens; a Northern River; the High Moor; the Camargue; an Old Orchard; Lake Inari",
    ],
];

/// From many parts of the world, in any combination, as in any large city.
const FIRST_NAMES: &str = "Amara; Haruka; Astrid; Lucía; Zofia; Meera; Eleanor; Élodie; Leyla;
    Mei; Chidi; Kenta; Nils; Mateo; Marek; Arjun; Declan; Bastien; Emre; Jun; Ifeoma; Mizuki;
    Sigrun; Inés; Danica; Kavita; Maeve; Margaux; Yasmin; Xiulan; Tunde; Sora; Torvald; Joaquín;
    Milan; Rohan; Rufus; Théo; Karim; Wen; Folake; Ayaka; Maren; Marisol; Ludmila; Lakshmi;
    Harriet; Solène; Selin; Ji-woo; Emeka; Ryota; Eskil; Tomás; Pavel; Vikram; Angus; Gaspard;
    Tariq; Min-seo; Ngozi; Nanami; Ylva; Paloma; Oksana; Anjali; Bronwen; Odile; Nour; Thuy;
    Sade; Shun; Leif; Ignacio; Bogdan; Farhan; Desmond; Rémi; Cemal; Minh";
const SURNAMES: &str = "Okparaku; Tachibana; Halvorsen; Belmonte; Kowalczuk; Deshmukh; Ashdown;
    Marchandeau; Al-Rashidi; Zhao; Adeyinka; Kurose; Brandvik; Cifuentes; Zelenko; Raghavan;
    Pendlebury; Beaufils; Yıldırım; Ouyang; Nwosu; Hayami; Lindgaard; Montalbo; Marušić;
    Chatterji; Fairweather; Lacombrade; Haddadin; Baek; Balogun; Onodera; Solheim; Zaldívar;
    Petrenko; Qureshi; MacAskill; Vaillancourt; Mansouri; Seong; Ezeani; Kitagawa; Ekström;
    Urrutia; Wronka; Malhotra; O'Halloran; Rochefeuil; Kılıç; Liang; Olatunji; Mizushima;
    Thorsdal; Peñalver; Havlík; Venkataram; Thackley; Tessier; Benhamou; Tran; Umeh; Asahina;
    Nyqvist; Olmedo; Brankov; Sethuraman; Wetherby; Garrigue; Aydoğan; Doan; Afolarin; Toriumi;
    Vestergren; Robledal; Jelinak; Bhandar; Sabbaghi; Fong";
pub(super) const PUBLISHERS: &str =
    "Larkspur & Hay; Tallow Press; Quillon Books; Saltgate; Merle & Daughters;
    Fathom House; Paper Heron; Brindle; Third Lamp; Kiln Street; Verlag Nachtregal";

/// A title from a genre's patterns and words.
pub(super) fn title([patterns, words @ ..]: [&'static str; 4], rng: &mut ChaCha8Rng) -> String {
    let mut title = word(patterns, rng).to_owned();
    for (slot, list) in ["{who}", "{what}", "{place}"].into_iter().zip(words) {
        while title.contains(slot) {
            let word = word(list, rng);
            // "Salt and Salt" is no title.
            if !title.contains(word) {
                title = title.replacen(slot, word, 1);
            }
        }
    }
    title
}

pub(super) fn author_name(rng: &mut ChaCha8Rng) -> String {
    format!("{} {}", word(FIRST_NAMES, rng), word(SURNAMES, rng))
}

/// A first name and an initial, as on a shop's page of reviews.
pub(super) fn reader_name(rng: &mut ChaCha8Rng) -> String {
    let initial = char::from(rng.random_range(b'A'..=b'Z'));
    format!("{} {initial}.", word(FIRST_NAMES, rng))
}

pub(super) fn word(list: &'static str, rng: &mut ChaCha8Rng) -> &'static str {
    list.split(';').map(str::trim).choose(rng).unwrap_or(list)
}
