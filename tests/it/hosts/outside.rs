//! What only the host's own process can write, flags of its own, and places that join before anybody sent anything.

use super::Clinic;

const SCHEMA: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, national_id TEXT UNIQUE);
CREATE TABLE image (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), path TEXT);
CREATE TABLE image_note (id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES image(id), words TEXT);
CREATE TABLE lab (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), value TEXT);";
const ALONE: &str = "CREATE TRIGGER image_made AFTER INSERT ON image BEGIN SELECT host_index(NEW.path); END;
CREATE TRIGGER lab_changed BEFORE UPDATE ON lab BEGIN SELECT host_check(NEW.value); END;";

/// What the application itself does, in whose process the functions are.
fn host(c: &Clinic, site: &str, sql: &str) {
    c.open(site).execute_batch(&format!("DROP TRIGGER image_made; DROP TRIGGER lab_changed; {sql}; {ALONE}")).unwrap();
}

#[test]
fn a_table_that_only_the_host_writes_is_sent_and_holds_no_chart_back() {
    let c = Clinic::new();
    let rows =
        "INSERT INTO patient VALUES (1, 'Anna', 'N1'); INSERT INTO image VALUES (1, 1, '/x'); INSERT INTO image_note VALUES (1, 1, 'left'); INSERT INTO lab VALUES (1, 1, '5')";
    c.make("A", 1, &[SCHEMA, rows, ALONE]);
    c.make("B", 2, &[SCHEMA, ALONE]);
    let said = c.init("A", &[]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("no rows can be added from outside (no such function: host_index)"), "{said}");
    assert!(said.contains("its rows cannot be changed from outside (no such function: host_check)"), "{said}");
    c.sync("A");
    c.init("B", &[]);
    c.settle(&["B", "A"]);
    let at_b = |sql: &str| c.count("B", sql);
    assert_eq!((at_b("SELECT count(*) FROM patient"), at_b("SELECT count(*) FROM lab"), at_b("SELECT count(*) FROM image")), (1, 1, 0));
    // What the host itself does there is noted, and travels as far as others let it.
    host(&c, "A", "INSERT INTO image VALUES (2, 1, '/y'); UPDATE lab SET value = '6'; UPDATE image SET path = '/z' WHERE id = 1");
    c.settle(&["A", "B"]);
    let lab = |site: &str| c.count(site, "SELECT CAST(value AS INTEGER) FROM lab");
    assert_eq!((lab("A"), lab("B")), (6, 5), "B's host lets nobody else change it");
    let known = c.cfs(&["--config", "B/cfs.toml", "show", "patient:1", "--json"]);
    assert!(["\"/z\"", "\"/y\"", "\"6\"", "\"left\""].iter().all(|v| known.contains(v)), "{known}");
    // B keeps what it does not show: its own edit of the chart does not undo A's.
    c.open("B").execute_batch("UPDATE patient SET name = 'Anna B'").unwrap();
    c.settle(&["B", "A"]);
    assert_eq!((lab("A"), c.count("A", "SELECT count(*) FROM image"), c.count("A", "SELECT count(*) FROM patient WHERE name = 'Anna B'")), (6, 2, 1));
}

#[test]
fn a_flag_of_what_was_not_sent_yet_is_each_places_own() {
    let c = Clinic::new();
    let schema = "CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, national_id TEXT UNIQUE, dirty INTEGER NOT NULL DEFAULT 0)";
    c.make("A", 1, &[schema, "INSERT INTO patient VALUES (1, 'Anna', 'N1', 1)"]);
    c.make("B", 2, &[schema, "INSERT INTO patient VALUES (1, 'Bert', 'N2', 1)"]);
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &["--match-on", "national_id"]);
    c.settle(&["B", "A"]);
    // The application at A has told its server of all that it has.
    c.open("A").execute_batch("UPDATE patient SET dirty = 0").unwrap();
    c.settle(&["A", "B"]);
    assert_eq!(c.count("B", "SELECT dirty FROM patient WHERE name = 'Bert'"), 1, "B's has not told anybody of Bert");
}

#[test]
fn a_name_that_is_a_number_is_nobodys_name() {
    let c = Clinic::new();
    let schema = "CREATE TABLE product (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE medicament (id INTEGER PRIMARY KEY, name INTEGER, strength TEXT);
        CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, national_id TEXT UNIQUE);
        CREATE TABLE medication (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), medicament_id INTEGER REFERENCES medicament(id))";
    let rows = "INSERT INTO product VALUES (7, 'aspirin'), (9, 'codeine'); INSERT INTO medicament VALUES (1, 9, 'a'), (2, 7, 'b'); INSERT INTO patient VALUES (1, 'Anna', 'N1'); INSERT INTO medication VALUES (1, 1, 1)";
    c.make("A", 1, &[schema, rows]);
    c.init("A", &[]);
    let toml = std::fs::read_to_string(c.path("A/cfs.toml")).unwrap();
    let of = toml.split("[type.").find(|t| t.starts_with("medicament]")).unwrap_or_default();
    assert!(!of.lines().any(|l| l.starts_with("match_on") && l.contains("\"name\"")), "{of}");
}

#[test]
fn two_places_with_people_need_a_word_before_either_sent_anything() {
    let c = Clinic::new();
    let schema = "CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, birth TEXT); CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), day TEXT)";
    let rows = "INSERT INTO patient VALUES (1, 'Anna', '1960-01-01'); INSERT INTO visit VALUES (1, 1, 'd')";
    c.make("A", 1, &[schema, rows]);
    c.make("B", 2, &[schema, rows]);
    c.init("A", &[]);
    let args = ["init", "--database", "B/host.db", "--folder", "f", "--site", "B"];
    let out = c.run(&args);
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(4), "{said}");
    assert!(said.contains("--match-on") && said.contains("--no-match") && said.contains("1 of patient"), "{said}");
    assert!(!c.path("B/cfs.toml").exists());
    c.init("B", &["--match-on", "name,birth"]);
}
