//! Shared rows that are told apart by what they belong to: the Alpha of France is not that of Italy, and every place counts
//! its countries for itself.

use crate::dsl::check::{quiet, reasons};
use crate::dsl::cloud::Cloud;
use crate::dsl::{Site, schema, settle};

const SQL: &str = "
CREATE TABLE host_clock (now TEXT);
CREATE TABLE country (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, title TEXT);
CREATE TABLE city (id INTEGER PRIMARY KEY, country_id INTEGER REFERENCES country(id), name TEXT NOT NULL, zip TEXT, UNIQUE (country_id, name));
CREATE TABLE street (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city_id INTEGER NOT NULL REFERENCES city(id), UNIQUE (name, city_id));
CREATE TABLE patient (id INTEGER PRIMARY KEY, nid TEXT UNIQUE, name TEXT, street_id INTEGER REFERENCES street(id));
CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, day TEXT);
";

const TOML: &str = "
[type.patient]
match_on = \"nid\"
[type.country]
shared = true
match_on = \"code\"
[type.city]
shared = true
match_on = [\"country_id\", \"name\"]
[type.street]
shared = true
match_on = [\"name\", \"city_id\"]
[table.visit]
owner = \"patient_id\"
[leave_out]
host_clock = \"the host's own\"
";

/// Countries in an order of its own, two cities in each, a street in each city, somebody in each street.
fn place(name: &str, cloud: &mut Cloud, countries: &[&str]) -> Site {
    let s = Site::with(name, cloud.join(), schema::open(SQL), TOML);
    for code in countries {
        s.sql(&format!("INSERT INTO country (code, title) VALUES ('{code}', '{code} of {name}')"));
        for city in ["Alpha", "Beta"] {
            s.sql(&format!("INSERT INTO city (country_id, name, zip) SELECT id, '{city}', '{code}{city}' FROM country WHERE code = '{code}'"));
            s.sql("INSERT INTO street (city_id, name) SELECT max(id), 'High Street' FROM city");
            s.sql(&format!("INSERT INTO patient (nid, name, street_id) SELECT '{name}{code}{city}', '{code}{city}', max(id) FROM street"));
        }
    }
    s
}

/// Whose country and city are not those that the name says, and how many streets there are.
fn standing(s: &Site) -> String {
    s.get(
        "SELECT (SELECT count(*) FROM street) || ' streets, ' || count(*) || ' people, ' || sum(p.name <> k.code || c.name) || ' elsewhere, zip ' || sum(c.zip <> p.name)
        FROM patient p JOIN street t ON t.id = p.street_id JOIN city c ON c.id = t.city_id JOIN country k ON k.id = c.country_id",
    )
}

fn at_rest(all: &mut [&mut Site], cloud: &mut Cloud) {
    settle(all, cloud);
    for s in all.iter() {
        assert_eq!(reasons(s), Vec::<String>::new(), "{} holds something", s.name);
    }
    quiet(all, cloud);
}

fn both(at_once: bool) -> (Site, Site, Cloud) {
    let mut cloud = Cloud::default();
    let (mut a, mut b) = (place("a", &mut cloud, &["FR", "DE", "CH"]), place("b", &mut cloud, &["CH", "IT", "FR"]));
    a.set_up();
    cloud.carry();
    b.set_up();
    a.sync();
    if !at_once {
        cloud.carry();
    }
    b.sync();
    settle(&mut [&mut a, &mut b], &mut cloud);
    (a, b, cloud)
}

#[test]
fn what_is_at_both_places_is_one_whatever_its_number() {
    for at_once in [true, false] {
        let (mut a, mut b, mut cloud) = both(at_once);
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            assert_eq!(standing(s), "8 streets, 12 people, 0 elsewhere, zip 0", "{} {at_once}", s.name);
        }
        // A third place, which has them all under other numbers.
        let mut c = place("c", &mut cloud, &["IT", "CH", "DE", "FR"]);
        c.set_up();
        settle(&mut [&mut c, &mut a, &mut b], &mut cloud);
        at_rest(&mut [&mut a, &mut b, &mut c], &mut cloud);
        for s in [&a, &b, &c] {
            assert_eq!(standing(s), "8 streets, 20 people, 0 elsewhere, zip 0", "{} {at_once}", s.name);
        }
    }
}

#[test]
fn what_is_typed_at_both_places_meanwhile_is_one() {
    let (mut a, mut b, mut cloud) = both(false);
    for s in [&a, &b] {
        let n = &s.name;
        // The keys are others at the other place.
        s.sql(&format!("INSERT INTO country (code) SELECT 'X{n}'; INSERT INTO country (code, title) VALUES ('ES', 'Spain')"));
        s.sql("INSERT INTO city (country_id, name, zip) SELECT id, 'Alpha', code || 'Alpha' FROM country WHERE code IN ('ES', 'DE', 'IT') ON CONFLICT DO NOTHING");
        s.sql("INSERT INTO city (country_id, name, zip) SELECT id, 'Gamma', code || 'Gamma' FROM country WHERE code IN ('ES', 'DE', 'IT')");
        s.sql("INSERT INTO street (city_id, name) SELECT id, 'Long Lane' FROM city WHERE name = 'Gamma'");
        s.sql(&format!("INSERT INTO patient (nid, name, street_id) SELECT '{n}' || zip, zip, t.id FROM street t JOIN city c ON c.id = t.city_id WHERE c.name = 'Gamma'"));
    }
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(standing(s), "11 streets, 18 people, 0 elsewhere, zip 0", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) FROM city"), "12", "{}", s.name);
    }
    // A city that goes to another country is still that city, with its streets.
    a.sql("UPDATE city SET country_id = (SELECT id FROM country WHERE code = 'ES'), zip = 'ESGamma2', name = 'Delta' WHERE zip = 'DEGamma'");
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(
            s.get(
                "SELECT count(*) || ' ' || (SELECT count(*) FROM patient p JOIN street t ON t.id = p.street_id JOIN city c ON c.id = t.city_id WHERE c.name = 'Delta') FROM city"
            ),
            "12 2",
            "{}",
            s.name
        );
    }
}

/// A key of several words that mean the same everywhere, and a patient who is told apart by the number of a clinic.
#[test]
fn a_reference_of_several_columns_and_a_patient_of_a_clinic() {
    let sql = "CREATE TABLE host_clock (now TEXT);
        CREATE TABLE ward (house TEXT, ward TEXT, title TEXT, PRIMARY KEY (house, ward));
        CREATE TABLE bed (id INTEGER PRIMARY KEY, house TEXT, ward TEXT, no INTEGER, note TEXT, UNIQUE (house, ward, no), FOREIGN KEY (house, ward) REFERENCES ward (house, ward));
        CREATE TABLE clinic (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
        CREATE TABLE patient (id INTEGER PRIMARY KEY, clinic_id INTEGER REFERENCES clinic(id), chart TEXT, name TEXT, born TEXT, phone TEXT, bed_id INTEGER REFERENCES bed(id), UNIQUE (clinic_id, chart));
        CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), day TEXT)";
    let toml = "[type.patient]\nmatch_on = [\"clinic_id\", \"chart\"]\nmatch_check = [\"name\", \"born\"]\n[type.ward]\nshared = true\nmatch_on = [\"house\", \"ward\"]
        [type.bed]\nshared = true\nmatch_on = [\"house\", \"ward\", \"no\"]\n[type.clinic]\nshared = true\nmatch_on = \"name\"\n[table.visit]\nowner = \"patient_id\"\n[leave_out]\nhost_clock = \"the host's own\"\n";
    for at_once in [false, true] {
        let mut cloud = Cloud::default();
        let mut place = |name: &str, clinics: &[&str]| {
            let s = Site::with(name, cloud.join(), schema::open(sql), toml);
            for clinic in clinics {
                s.sql(&format!("INSERT INTO clinic (name) VALUES ('{clinic}'); INSERT INTO ward VALUES ('{clinic}', 'W', 't')"));
                s.sql(&format!("INSERT INTO bed (house, ward, no, note) VALUES ('{clinic}', 'W', 1, '{clinic}')"));
                s.sql(&format!(
                    "INSERT INTO patient (clinic_id, chart, name, born, bed_id) SELECT max(id), '1', 'One of {clinic}', '1970-01-01', (SELECT max(id) FROM bed) FROM clinic"
                ));
                s.sql("INSERT INTO visit (patient_id, day) SELECT max(id), 'at ' || (SELECT max(name) FROM clinic) FROM patient");
            }
            s
        };
        let (mut a, mut b) = (place("a", &["Hill", "Lake"]), place("b", &["Mill", "Lake", "Hill"]));
        a.set_up();
        cloud.carry();
        b.set_up();
        a.sync();
        if !at_once {
            cloud.carry();
        }
        b.sync();
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            let found = s.get("SELECT count(*) || ' ' || sum(p.name = 'One of ' || c.name) || ' ' || sum(d.note = c.name) || ' ' || (SELECT count(*) FROM visit) || ' ' || (SELECT count(*) FROM bed)
                FROM patient p JOIN clinic c ON c.id = p.clinic_id JOIN bed d ON d.id = p.bed_id");
            assert_eq!(found, "3 3 3 5 3", "{} {at_once}", s.name);
        }
    }
}

/// What belongs to rows that nobody can tell apart matches nothing; it is never taken for another.
#[test]
fn what_leads_to_nothing_that_is_matched_stays_two() {
    let toml = TOML.replace("match_on = \"code\"", "");
    for at_once in [false, true] {
        let mut cloud = Cloud::default();
        let mut place = |name: &str, countries: &[&str]| {
            let s = Site::with(name, cloud.join(), schema::open(&SQL.replace("code TEXT NOT NULL UNIQUE", "code TEXT")), &toml);
            for code in countries {
                s.sql(&format!("INSERT INTO country (code) VALUES ('{code}'); INSERT INTO city (country_id, name, zip) SELECT max(id), 'Alpha', '{code}Alpha' FROM country"));
                s.sql(&format!("INSERT INTO street (city_id, name) SELECT max(id), 'High' FROM city; INSERT INTO patient (nid, name, street_id) SELECT '{name}{code}', '{code}Alpha', max(id) FROM street"));
            }
            s
        };
        let (mut a, mut b) = (place("a", &["FR", "CH"]), place("b", &["CH", "FR"]));
        a.set_up();
        cloud.carry();
        b.set_up();
        a.sync();
        if !at_once {
            cloud.carry();
        }
        b.sync();
        at_rest(&mut [&mut a, &mut b], &mut cloud);
        for s in [&a, &b] {
            assert_eq!(standing(s), "4 streets, 4 people, 0 elsewhere, zip 0", "{} {at_once}", s.name);
        }
    }
}

/// The country comes after its city: what was at both places all along is found then.
#[test]
fn the_row_that_tells_comes_late() {
    let mut cloud = Cloud::default();
    let (mut a, mut b) = (place("a", &mut cloud, &["FR", "DE", "CH"]), place("b", &mut cloud, &["CH", "IT", "FR"]));
    a.set_up();
    cloud.carry();
    b.set_up();
    a.sync();
    cloud.carry();
    let folder = b.folder.clone();
    let late: Vec<(String, Vec<u8>)> = folder.all().into_iter().filter(|(p, _)| p.contains("records/country/")).collect();
    assert_eq!(late.len(), 3);
    late.iter().for_each(|(p, _)| drop(folder.take(p)));
    b.sync();
    late.into_iter().for_each(|(p, bytes)| folder.put(&p, bytes));
    settle(&mut [&mut a, &mut b], &mut cloud);
    at_rest(&mut [&mut a, &mut b], &mut cloud);
    for s in [&a, &b] {
        assert_eq!(standing(s), "8 streets, 12 people, 0 elsewhere, zip 0", "{}", s.name);
    }
}
