//! People who look like one: lists them, and matches nobody.

use super::find::{FAMILY, GIVEN, RecordName, named};
use super::{Error, Synchronizer};
use crate::host::looks::words;
use crate::id::RecordId;
use crate::merge::{self, Life};
use crate::record::Record;
use crate::state;
use crate::value::Value;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What more people than this share is a placeholder, and says nothing.
const PLACEHOLDER: usize = 8;
/// Born on one day, in one list: no more are compared with each other.
const SAME_DAY: usize = 400;
/// From here on two names are taken for one with a slip (Jaro-Winkler, 1 is equal).
const SIMILAR: f64 = 0.92;

/// Two records that look like one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alike {
    /// One.
    pub a: RecordName,
    /// The other.
    pub b: RecordName,
    /// What they have in common.
    pub reasons: Vec<String>,
    /// What of name, birth date and identity differs.
    pub differ: Vec<String>,
}

/// What a record says of a person.
#[derive(Debug, Default)]
struct Person {
    id: RecordId,
    name: RecordName,
    /// The words of the name, in order.
    words: Vec<String>,
    born: Option<String>,
    phones: BTreeSet<String>,
    /// Numbers that are the same everywhere, by column.
    ids: BTreeMap<String, String>,
    /// Whom a person said it is not.
    not: BTreeSet<RecordId>,
}

impl Synchronizer {
    /// People who look like one by name, birth date, telephone or identity number, the surest first.
    pub fn duplicates(&self) -> Result<Vec<Alike>, Error> {
        let state = self.state()?;
        let mut people: Vec<Person> = Vec::new();
        for kind in self.mapping.types.iter().filter(|k| !k.shared) {
            for id in state.all(Some(&kind.name))? {
                let Some(stored) = state.load(&id)?.filter(|s| s.flags & state::DELETED == 0) else { continue };
                let mut person = read(&stored.known);
                person.not = stored.known.same_as.iter().filter(|(_, f)| f.1 != crate::record::SameAs::Same).map(|(o, _)| *o).collect();
                person.name = named(&stored);
                people.push(person);
            }
        }
        Ok(alike(&people))
    }
}

fn alike(people: &[Person]) -> Vec<Alike> {
    let mut found: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let mut groups: BTreeMap<(u8, String), Vec<usize>> = BTreeMap::new();
    for (n, p) in people.iter().enumerate() {
        let mut add = |rank: u8, key: String| groups.entry((rank, key)).or_default().push(n);
        p.ids.iter().for_each(|(column, value)| add(0, format!("{column}\u{0}{value}")));
        let mut sorted = p.words.clone();
        sorted.sort();
        if let Some(born) = p.born.as_ref().filter(|_| !sorted.is_empty()) {
            add(1, format!("{}\u{0}{born}", sorted.join(" ")));
            add(3, born.clone());
        }
        p.phones.iter().for_each(|phone| add(2, phone.clone()));
    }
    for ((rank, key), members) in &groups {
        if members.len() < 2 || members.len() > if *rank == 3 { SAME_DAY } else { PLACEHOLDER } {
            continue;
        }
        for (i, a) in members.iter().enumerate() {
            for b in members.iter().skip(i + 1) {
                let (Some(x), Some(y)) = (people.get(*a), people.get(*b)) else { continue };
                let said = x.not.contains(&y.id) || y.not.contains(&x.id);
                let reason = match rank {
                    0 => Some(format!("the same {}", key.split('\u{0}').next().unwrap_or_default())),
                    1 => Some("the same name and birth date".to_owned()),
                    2 if x.words.iter().any(|w| y.words.contains(w)) => Some("the same telephone and a name in common".to_owned()),
                    3 if similar(&x.words, &y.words) => Some("the same birth date and much the same name".to_owned()),
                    _ => None,
                };
                if let Some(reason) = reason.filter(|_| !said) {
                    let all = found.entry((*a.min(b), *a.max(b))).or_default();
                    if !(all.contains(&reason) || *rank == 3 && all.iter().any(|r| r.contains("name and birth"))) {
                        all.push(reason);
                    }
                }
            }
        }
    }
    let mut out: Vec<Alike> = found
        .into_iter()
        .filter_map(|((a, b), reasons)| {
            let (x, y) = (people.get(a)?, people.get(b)?);
            Some(Alike { a: x.name.clone(), b: y.name.clone(), reasons, differ: differ(x, y) })
        })
        .collect();
    out.sort_by_key(|p| (p.differ.len(), std::cmp::Reverse(p.reasons.len())));
    out
}

fn differ(x: &Person, y: &Person) -> Vec<String> {
    let mut out = Vec::new();
    let mut names = [x.words.clone(), y.words.clone()];
    names.iter_mut().for_each(|n| n.sort());
    if names[0] != names[1] {
        out.push("name".to_owned());
    }
    if x.born.as_ref().zip(y.born.as_ref()).is_some_and(|(a, b)| a != b) {
        out.push("birth date".to_owned());
    }
    out.extend(x.ids.iter().filter(|(c, v)| y.ids.get(*c).is_some_and(|w| w != *v)).map(|(c, _)| c.clone()));
    out
}

/// Whether two names are one with a slip in it, whatever the order of their words.
fn similar(a: &[String], b: &[String]) -> bool {
    let key = |n: &[String]| {
        let mut n = n.to_vec();
        n.sort();
        n.join(" ")
    };
    let (a, b) = (key(a), key(b));
    a != b && strsim::jaro_winkler(&a, &b) >= SIMILAR
}

/// Reads what a record says of a person, in its root row and in rows of which it has one; telephones anywhere.
fn read(r: &Record) -> Person {
    let mut p = Person { id: r.id, ..Person::default() };
    let lives = merge::life(r);
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for key in r.rows.keys().filter(|k| lives.get(*k) == Some(&Life::Live)) {
        *count.entry(key.table.as_str()).or_default() += 1;
    }
    let mut names: BTreeMap<u8, String> = BTreeMap::new();
    for (key, row) in r.rows.iter().filter(|(k, _)| lives.get(*k) == Some(&Life::Live)) {
        let single = count.get(key.table.as_str()) == Some(&1);
        for (field, values) in row.fields.iter().filter(|(f, _)| f.place.is_none()) {
            let text = match values.current().map(|e| &e.value) {
                Some(Value::Text(t)) => String::from_utf8_lossy(t).into_owned(),
                Some(Value::Integer(i)) => i.to_string(),
                _ => continue,
            };
            let w = words(&field.name);
            let has = |list: &[&str]| w.iter().any(|w| list.contains(&w.as_str()));
            let table = words(&key.table);
            let telephone = has(&["phone", "telephone", "mobile", "tel", "cell", "msisdn"])
                || (has(&["number", "value"]) && table.iter().any(|t| ["phone", "telephone", "contact"].contains(&t.as_str())));
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            if telephone && digits.len() >= 7 {
                p.phones.insert(digits.chars().skip(digits.len().saturating_sub(9)).collect());
            }
            if !single {
                continue;
            }
            if let Some(rank) = name_rank(&w) {
                names.entry(rank).or_insert(text.clone());
            }
            if (has(&["birth", "dob", "born", "birthdate", "birthday"]) && !has(&["city", "place", "country", "year", "multiple"])) && p.born.is_none() {
                p.born = day(&text);
            }
            let identity = ["national", "ssn", "nhs", "passport", "insurance", "social", "citizen", "bsn", "cpr", "nino", "pesel", "kvnr", "personnummer", "puid", "mrn"];
            let plain: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
            if has(&identity) && plain.chars().count() >= 5 && plain.chars().any(|c| c.is_ascii_digit()) {
                p.ids.entry(field.name.to_string()).or_insert(plain);
            }
        }
    }
    // A first and a last name, else a whole one.
    let parts: Vec<&String> = [0, 1].iter().filter_map(|n| names.get(n)).collect();
    let whole: Vec<&String> = if parts.is_empty() { names.get(&2).into_iter().collect() } else { parts };
    p.words = whole.iter().flat_map(|n| folded(n)).collect();
    p
}

fn name_rank(w: &[String]) -> Option<u8> {
    match w.concat().as_str() {
        name if FAMILY.contains(&name) => Some(0),
        name if GIVEN.contains(&name) => Some(1),
        "fullname" | "name" | "patientname" | "displayname" => Some(2),
        _ => None,
    }
}

/// The words of a name in small letters without accents: `Müller-Lüdenscheidt` has two.
fn folded(name: &str) -> Vec<String> {
    let plain = |c: char| match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ī' | 'ı' => 'i',
        'ł' | 'ľ' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' => 's',
        'ť' | 'ţ' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        c => c,
    };
    let lower: String = name.to_lowercase().replace('ß', "ss").replace('æ', "ae").replace('œ', "oe").chars().map(plain).collect();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// A date as year, month, day, from the usual ways of writing one.
fn day(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty()).collect();
    let number = |s: &str| s.parse::<u32>().ok();
    let (y, m, d) = match parts.as_slice() {
        [y, m, d, ..] if y.len() == 4 => (*y, *m, *d),
        [d, m, y, ..] if y.len() == 4 => (*y, *m, *d),
        [all] if all.len() == 8 => (all.get(..4)?, all.get(4..6)?, all.get(6..)?),
        _ => return None,
    };
    Some(format!("{:04}-{:02}-{:02}", number(y)?, number(m)?, number(d)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_days_in_many_spellings() {
        assert_eq!(folded("Müller-Lüdenscheidt, José"), ["muller", "ludenscheidt", "jose"]);
        assert_eq!(folded("STRAẞE Øster"), ["strasse", "oster"]);
        for same in ["1980-02-29", "1980-2-29 00:00:00", "29.02.1980", "19800229", "1980/02/29"] {
            assert_eq!(day(same).as_deref(), Some("1980-02-29"), "{same}");
        }
        assert_eq!(day("1980"), None);
        let name = |n: &str| folded(n);
        assert!(similar(&name("Katharina Schmidt"), &name("Schmitt, Katharina")) && !similar(&name("Anna Schmidt"), &name("Karl Weber")));
    }
}
