//! Schemas and sequences that once gave something wrong: each a named test.

use super::Clinic;
use rusqlite::types::Value;

const PATIENT: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, national_id TEXT UNIQUE);";
const THIRTY: &str = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30)";

/// A with rows, B with some of its own, each person at one place only.
fn two(schema: &str, a: &str, b: &str) -> (Clinic, String) {
    let c = Clinic::new();
    c.make("A", 1, &[schema, a]);
    c.make("B", 2, &[schema, b]);
    let said = c.init("A", &[]);
    c.sync("A");
    c.init("B", &["--no-match"]);
    c.settle(&["B", "A"]);
    (c, said.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn all(c: &Clinic, site: &str, sql: &str) -> Vec<Value> {
    let conn = c.open(site);
    let mut q = conn.prepare(sql).unwrap();
    q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_weight_is_no_reference_to_a_table_of_weights() {
    let schema = format!(
        "{PATIENT} CREATE TABLE patient_weight (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, kg REAL);
         CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, weight INTEGER)"
    );
    let a = format!(
        "{THIRTY} INSERT INTO patient SELECT i, 'P' || i, 'N' || i FROM c; {THIRTY} INSERT INTO patient_weight SELECT i * 3 + x.column1, i, 50 FROM c, (VALUES (0), (1), (2)) x;
         {THIRTY} INSERT INTO visit SELECT i, i, 50 + i FROM c"
    );
    let (c, said) = two(&schema, &a, "INSERT INTO patient VALUES (1, 'Q', 'N900'); INSERT INTO patient_weight (patient_id, kg) VALUES (1, 1), (1, 2), (1, 3)");
    assert!(said.contains("visit.weight to patient_weight (OFF until you say so)"), "{said}");
    assert_eq!(all(&c, "B", "SELECT weight FROM visit ORDER BY weight LIMIT 2"), [Value::Integer(51), Value::Integer(52)]);
}

#[test]
fn a_family_that_shares_an_address_is_several_people() {
    let schema = "CREATE TABLE address (id INTEGER PRIMARY KEY, street TEXT); CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, birth_date TEXT,
        address_id INTEGER NOT NULL REFERENCES address(id) ON DELETE CASCADE); CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, note TEXT)";
    let a = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 6) INSERT INTO address SELECT i, 'Street ' || i FROM c; INSERT INTO patient SELECT id, 'P' || id, '1950', id FROM address";
    let (c, _) = two(schema, a, "");
    c.open("A").execute_batch("INSERT INTO patient VALUES (100, 'Anna', '1960', 1); INSERT INTO visit (patient_id, note) VALUES (100, 'penicillin')").unwrap();
    c.open("B")
        .execute_batch("INSERT INTO patient SELECT 200, 'Karl', '1999', id FROM address WHERE street = 'Street 1'; INSERT INTO visit (patient_id, note) VALUES (200, 'asthma')")
        .unwrap();
    c.settle(&["A", "B"]);
    for s in ["A", "B"] {
        let charts = all(&c, s, "SELECT name || ':' || note FROM patient p JOIN visit v ON v.patient_id = p.id ORDER BY 1");
        assert_eq!(charts, [Value::Text("Anna:penicillin".into()), Value::Text("Karl:asthma".into())], "{s}");
    }
}

#[test]
fn two_more_rows_of_what_a_record_had_once_are_two_rows() {
    let schema = "CREATE TABLE patient (id INTEGER PRIMARY KEY, file_no INTEGER); CREATE TABLE demographics (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE,
        last_name TEXT, birth_date TEXT, national_id TEXT)";
    let a = format!("{THIRTY} INSERT INTO patient SELECT i, NULL FROM c; INSERT INTO demographics SELECT id, id, 'L' || id, '1950-01-01', 'N' || (id * 7919) FROM patient");
    let (c, said) = two(schema, &a, "");
    assert!(said.contains("matched on demographics.national_id"), "{said}");
    for (site, name) in [("A", "Married"), ("B", "Alias")] {
        c.open(site).execute_batch(&format!("INSERT INTO demographics (patient_id, last_name, birth_date, national_id) SELECT patient_id, '{name}', birth_date, national_id FROM demographics WHERE national_id = 'N7919'")).unwrap();
    }
    c.settle(&["A", "B"]);
    for s in ["A", "B"] {
        assert_eq!(c.count(s, "SELECT count(DISTINCT last_name) FROM demographics WHERE national_id = 'N7919'"), 3, "{s}");
    }
    // A number given to somebody else, whose row says nothing by itself, is somebody else.
    c.open("A").execute_batch("PRAGMA foreign_keys = ON; DELETE FROM patient WHERE id = 10; INSERT INTO patient VALUES (10, NULL); INSERT INTO demographics (patient_id, last_name, birth_date, national_id) VALUES (10, 'Newman', '2001-05-05', 'N555')").unwrap();
    c.settle(&["A", "B"]);
    for s in ["A", "B"] {
        assert_eq!(c.count(s, "SELECT count(*) FROM demographics WHERE last_name IN ('Newman', 'L10')"), 2, "{s}");
        assert_eq!(c.count(s, "SELECT count(DISTINCT patient_id) FROM demographics WHERE last_name IN ('Newman', 'L10')"), 2, "{s}");
    }
}

#[test]
fn nothing_in_an_inferred_reference_means_nothing_everywhere() {
    let schema = format!(
        "{PATIENT} CREATE TABLE provider (id INTEGER PRIMARY KEY, name TEXT UNIQUE); CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), provider_id INTEGER NOT NULL DEFAULT 0)"
    );
    let a = format!(
        "{THIRTY} INSERT INTO patient SELECT i, 'P' || i, 'N' || i FROM c; INSERT INTO provider VALUES (1, 'Dr A'), (2, 'Dr B'); {THIRTY} INSERT INTO visit SELECT i, i, 1 + i % 2 FROM c"
    );
    let (c, said) = two(&schema, &a, "INSERT INTO provider VALUES (1, 'Dr Z')");
    assert!(said.contains("visit.provider_id to provider (on): 30 of 30"), "{said}");
    c.open("A").execute_batch("INSERT INTO visit VALUES (31, 3, 0); UPDATE visit SET provider_id = 0 WHERE id = 4").unwrap();
    c.settle(&["A", "B"]);
    assert_eq!(c.count("B", "SELECT count(*) FROM visit WHERE provider_id = 0"), 2);
    c.same(&["A", "B"]);
}

#[test]
fn a_model_that_nobody_had_named_yet_leads_to_its_own_row() {
    let schema = format!(
        "{PATIENT} CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), day TEXT); CREATE TABLE attachment (id INTEGER PRIMARY KEY, resource TEXT, what TEXT);
         CREATE TABLE attachment_page (id INTEGER PRIMARY KEY, attachment_id INTEGER NOT NULL REFERENCES attachment(id) ON DELETE CASCADE, body TEXT)"
    );
    let a = format!("{THIRTY} INSERT INTO patient SELECT i, 'P' || i, 'N' || i FROM c; INSERT INTO visit SELECT id, id, 'v' || id FROM patient; INSERT INTO attachment SELECT id, 'patient,' || id, 'x' || id FROM patient;
        INSERT INTO attachment_page SELECT id, id, 'page' || id FROM attachment");
    let (c, _) = two(&schema, &a, "INSERT INTO patient VALUES (1, 'Q', 'N900'); INSERT INTO visit VALUES (1, 1, 'of Q')");
    assert_eq!(c.count("B", "SELECT count(*) FROM attachment_page"), 30, "what hangs off a text's row travels with it");
    c.open("A").execute_batch("INSERT INTO attachment VALUES (31, 'visit,1', 'of the first visit')").unwrap();
    c.settle(&["A", "B"]);
    let of = |what: &str, join: &str| format!("SELECT {join} FROM attachment a WHERE what = '{what}'");
    assert_eq!(all(&c, "B", &of("of the first visit", "(SELECT day FROM visit v WHERE 'visit,' || v.id = a.resource)")), [Value::Text("v1".into())]);
    c.same(&["A", "B"]);
}

#[test]
fn confidential_notes_stay_so_and_nobody_gets_in_without_a_password() {
    let schema = format!(
        "{PATIENT} CREATE TABLE doctor (id INTEGER PRIMARY KEY, login TEXT UNIQUE, password TEXT NOT NULL, api_key TEXT, pin TEXT);
         CREATE TABLE note (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), doctor_id INTEGER REFERENCES doctor(id), is_secret INTEGER NOT NULL DEFAULT 0, secret_reason TEXT)"
    );
    let (c, _) = two(
        &schema,
        "INSERT INTO patient VALUES (1, 'P', 'N1'); INSERT INTO doctor VALUES (1, 'smith', 'hunter2', 'k3y', '1234'); INSERT INTO note VALUES (1, 1, 1, 1, 'confidential')",
        "",
    );
    assert_eq!(all(&c, "B", "SELECT is_secret || secret_reason FROM note"), [Value::Text("1confidential".into())]);
    assert_eq!(c.count("B", "SELECT count(*) FROM doctor WHERE length(password) >= 32 AND api_key IS NULL AND pin IS NULL"), 1);
    let mut found = Vec::new();
    let mut open = vec![c.path("f")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else if ["hunter2", "k3y", "1234"].iter().any(|s| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).contains(s)) {
                found.push(entry.path());
            }
        }
    }
    // Hashes and UUIDs may hold four digits by chance; the words they do not.
    found.retain(|f| ["hunter2", "k3y"].iter().any(|s| String::from_utf8_lossy(&std::fs::read(f).unwrap()).contains(s)));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_key_word_in_a_name_makes_no_stamp_of_a_reference() {
    let schema = "CREATE TABLE patient (uid TEXT PRIMARY KEY, name TEXT, national_id TEXT UNIQUE); CREATE TABLE referral (id INTEGER PRIMARY KEY, patient_uid TEXT NOT NULL REFERENCES patient(uid), reason TEXT);
        CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_uid TEXT NOT NULL REFERENCES patient(uid), referral_id INTEGER REFERENCES referral(id), note TEXT)";
    let a = format!(
        "{THIRTY} INSERT INTO patient SELECT 'u' || i, 'P' || i, 'N' || i FROM c; INSERT INTO referral SELECT NULL, uid, 'r' FROM patient LIMIT 3; INSERT INTO visit SELECT NULL, uid, NULL, 'n' FROM patient"
    );
    let (c, said) = two(schema, &a, "");
    assert!(said.contains("RECORD patient"), "{said}");
    assert_eq!(c.count("B", "SELECT count(*) FROM visit"), 30);
}

#[test]
fn letters_are_no_vocabulary_and_latin_1_is_no_reason_to_stop() {
    let schema = format!(
        "{PATIENT} CREATE TABLE letter (id TEXT PRIMARY KEY, body TEXT); CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), letter_id TEXT REFERENCES letter(id), street TEXT)"
    );
    let c = Clinic::new();
    c.make("A", 1, &[&schema, "INSERT INTO patient VALUES (1, 'P', 'N1'); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20100) INSERT INTO letter SELECT printf('0190f5d2-0000-7000-8000-%012d', i), 'typed' FROM c;
        INSERT INTO visit SELECT NULL, 1, id, CAST(x'48f66865' || ',12' AS TEXT) FROM letter LIMIT 30"]);
    let said = c.init("A", &["--dry-run"]);
    assert!(said.contains("letter ") && !said.contains("20,100 rows"), "{said}");
}

#[test]
fn people_who_look_like_one_are_listed_and_nobody_is_matched() {
    let schema = "CREATE TABLE patient (id INTEGER PRIMARY KEY, last_name TEXT, first_name TEXT, birth_date TEXT, phone TEXT); CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id))";
    let a = "INSERT INTO patient VALUES (1, 'Müller', 'José', '1980-02-29', '+49 351 1234567'), (2, 'Schmidt', 'Katharina', '1970-01-01', NULL), (3, 'Weber', 'Karl', '1960-05-05', NULL)";
    let b = "INSERT INTO patient VALUES (1, 'Jose', 'MULLER', '29.02.1980', '0351/1234567'), (2, 'Schmitt', 'Katharina', '1970-01-01', NULL), (3, 'Weber', 'Karla', '1990-09-09', NULL)";
    let (c, _) = two(schema, a, b);
    let listed = || -> Vec<(String, String, String)> {
        let found: serde_json::Value = serde_json::from_str(&c.cfs(&["--config", "A/cfs.toml", "duplicates", "--json"])).unwrap();
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        found["duplicates"].as_array().unwrap().iter().map(|p| (text(&p["a"]["record"]), text(&p["b"]["record"]), p["reasons"].to_string())).collect()
    };
    let found = listed();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].2.contains("the same name and birth date") && found[0].2.contains("telephone") && found[1].2.contains("much the same name"), "{found:?}");
    assert_eq!(c.count("A", "SELECT count(*) FROM patient"), 6);
    c.cfs(&["--config", "A/cfs.toml", "match", &found[1].0, &found[1].1, "--not"]);
    c.cfs(&["--config", "A/cfs.toml", "match", &found[0].0, &found[0].1]);
    c.settle(&["A", "B"]);
    assert!(listed().is_empty());
    assert_eq!((c.count("A", "SELECT count(*) FROM patient"), c.count("B", "SELECT count(*) FROM patient")), (5, 5));
}

#[test]
fn detach_leaves_the_schema_as_it_was() {
    for name in ["address", "convention", "imaging"] {
        let c = Clinic::new();
        c.make("A", 1, &[&super::fixture(&format!("{name}.sql")), &super::fixture(&format!("{name}.data.sql"))]);
        let schema = |c: &Clinic| all(c, "A", "SELECT type || '|' || name || '|' || tbl_name || '|' || coalesce(sql, '') FROM sqlite_master");
        let before = schema(&c);
        std::fs::copy(c.db("A"), c.path("before.db")).unwrap();
        c.init("A", &[]);
        c.sync("A");
        assert_ne!(schema(&c), before);
        c.cfs(&["--config", "A/cfs.toml", "detach", "--yes"]);
        assert_eq!(schema(&c), before, "{name}");
        super::compare::assert_same(&c.path("before.db"), &c.db("A"), &c.path("A/cfs.toml"));
    }
}

#[test]
fn the_example_application_synchronizes() {
    let c = Clinic::new();
    c.make("A", 1, &["CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO patient VALUES (1, 'One'), (2, 'Two')"]);
    c.init("A", &["--root", "patient"]);
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/host_app.py");
    let mut run = std::process::Command::new("python3");
    let Ok(out) = run.arg(example).args(["A/host.db", "--sync"]).current_dir(c.path(".")).env("CFS", env!("CARGO_BIN_EXE_cfs")).env("XDG_STATE_HOME", c.path("state")).output()
    else {
        return;
    };
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(said, "2 sent, 0 received\n2 people\n", "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("sending records: 2 of 2"));
}

/// Typed between two people whom somebody elsewhere erases meanwhile: it stands in this host alone.
#[test]
fn a_link_between_two_people_who_are_both_erased_elsewhere_is_held() {
    let schema = "CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE); CREATE TABLE patient_link (a INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE,
        b INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, kind TEXT, PRIMARY KEY (a, b))";
    for swapped in [false, true] {
        let (c, _) = two(schema, "INSERT INTO patient VALUES (1, 'N1'), (2, 'N2')", "");
        let (a, b) = if swapped { ("N2", "N1") } else { ("N1", "N2") };
        let of = |n: &str| format!("(SELECT id FROM patient WHERE national_id = '{n}')");
        c.open("B").execute_batch(&format!("PRAGMA foreign_keys = ON; INSERT INTO patient_link VALUES ({}, {}, 'typed')", of(a), of(b))).unwrap();
        for id in ["patient:1", "patient:2"] {
            c.cfs(&["--config", "A/cfs.toml", "erase", id, "--yes"]);
        }
        for s in ["A", "B", "A", "B"] {
            c.sync(s);
        }
        assert_eq!(all(&c, "B", "SELECT kind FROM patient_link"), [Value::Text("typed".into())]);
        assert_eq!(c.sync("B")["held"].as_array().map(Vec::len), Some(2));
        // A person there agrees, and all of it goes: the one that the link belongs to first.
        for id in ["patient:1", "patient:2", "patient:1"].iter().take(if swapped { 3 } else { 2 }) {
            c.cfs(&["--config", "B/cfs.toml", "erase", id, "--yes"]);
        }
        assert_eq!(c.count("B", "SELECT count(*) FROM patient"), 0);
    }
}

#[test]
fn a_row_of_ours_never_takes_anothers_place() {
    let schema = format!("{PATIENT} CREATE TABLE bed (patient_id INTEGER REFERENCES patient(id), ward TEXT NOT NULL, no INTEGER NOT NULL, UNIQUE (ward, no) ON CONFLICT REPLACE)");
    let c = Clinic::new();
    c.make("A", 1, &[&schema, "INSERT INTO patient VALUES (1, 'P', 'N1'); INSERT INTO bed VALUES (1, 'A', 1)"]);
    c.make("B", 2, &[&schema, "INSERT INTO patient VALUES (1, 'Q', 'N2'); INSERT INTO bed VALUES (1, 'A', 1)"]);
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &["--no-match"]);
    let held = c.sync("B")["held"].to_string();
    assert!(held.contains("UNIQUE constraint failed"), "{held}");
    assert_eq!(all(&c, "B", "SELECT name FROM patient p JOIN bed b ON b.patient_id = p.id"), [Value::Text("Q".into())]);
}

#[test]
fn rows_get_their_keys_in_the_order_in_which_they_got_them_elsewhere() {
    let schema = format!(
        "{PATIENT} CREATE TABLE link (a INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, b INTEGER NOT NULL REFERENCES patient(id), PRIMARY KEY (a, b), CHECK (a < b))"
    );
    let a = format!("{THIRTY} INSERT INTO patient SELECT i, 'P' || i, 'N' || i FROM c; INSERT INTO link SELECT id, id + 1 FROM patient WHERE id < 30");
    let (c, _) = two(&schema, &a, "");
    assert_eq!(c.count("B", "SELECT count(*) FROM link"), 29);
    c.same(&["A", "B"]);
}

#[test]
fn a_row_that_a_trigger_makes_becomes_the_one_that_comes() {
    let schema = format!(
        "{PATIENT} CREATE TABLE wide (patient_id INTEGER PRIMARY KEY REFERENCES patient(id) ON DELETE CASCADE, a TEXT, b TEXT);
         CREATE TABLE task (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, what TEXT, who TEXT);
         CREATE TRIGGER made AFTER INSERT ON patient BEGIN INSERT INTO wide (patient_id, a) VALUES (NEW.id, 'trigger'); INSERT INTO task (patient_id, what, who) VALUES (NEW.id, 'welcome', 'trigger'); END"
    );
    let a = format!(
        "{THIRTY} INSERT INTO patient SELECT i, 'P' || i, 'N' || i FROM c; UPDATE wide SET a = NULL, b = 'typed ' || patient_id; UPDATE task SET what = 'call', who = NULL"
    );
    let (c, _) = two(&schema, &a, "");
    assert_eq!(c.count("B", "SELECT count(*) FROM task WHERE who IS NULL AND what = 'call'"), 30);
    assert_eq!((c.count("B", "SELECT count(*) FROM task"), c.count("B", "SELECT count(*) FROM wide WHERE a IS NULL")), (30, 30));
    c.same(&["A", "B"]);
}

#[test]
fn a_key_arrives_as_it_was_written() {
    let schema = format!(
        "{PATIENT} CREATE TABLE provider (login TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, name TEXT); CREATE TABLE ward (no INTEGER PRIMARY KEY, name TEXT UNIQUE);
         CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), provider TEXT NOT NULL REFERENCES provider(login), ward TEXT REFERENCES ward(no))"
    );
    let a = "INSERT INTO patient VALUES (1, 'P', 'N1'); INSERT INTO provider VALUES ('dr.smith', 'Ann'); INSERT INTO ward VALUES (5, 'North'); INSERT INTO visit VALUES (1, 1, 'DR.Smith', '5'), (2, 1, 'dr.smith', NULL)";
    let (c, _) = two(&schema, a, "INSERT INTO ward VALUES (5, 'South')");
    let written = |s: &str| all(&c, s, "SELECT provider || coalesce((SELECT name FROM ward w WHERE w.no = ward), '') FROM visit ORDER BY 1");
    assert_eq!(written("B"), [Value::Text("DR.SmithNorth".into()), Value::Text("dr.smith".into())]);
    c.open("B").execute_batch("UPDATE visit SET provider = 'Dr.SMITH' WHERE provider = 'DR.Smith'").unwrap();
    c.settle(&["B", "A"]);
    assert_eq!(written("A"), [Value::Text("Dr.SMITHNorth".into()), Value::Text("dr.smith".into())]);
    // Written like the key again.
    c.open("A").execute_batch("UPDATE visit SET provider = 'dr.smith'").unwrap();
    c.settle(&["A", "B"]);
    assert_eq!(written("B"), [Value::Text("dr.smith".into()), Value::Text("dr.smithNorth".into())]);
    assert!(c.cfs(&["--config", "B/cfs.toml", "verify"]).contains("No differences"));
}

/// A card file, or what came out of a spreadsheet: no key, no UNIQUE column, no foreign key.
#[test]
fn tables_that_declare_nothing_have_keys_all_the_same() {
    let schema = "CREATE TABLE patients (id, name, born); CREATE TABLE visits (id, patient_id, doctor_id, note); CREATE TABLE doctors (id, name, code); CREATE TABLE lab (visit_id, test, value)";
    let of = |site: &str, n: u32| {
        format!(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {n}) INSERT INTO patients SELECT i, '{site}' || i, '1950' FROM c;
             INSERT INTO doctors SELECT id, 'Dr. {site}' || id, '{site}' || id FROM patients WHERE id < 4;
             INSERT INTO visits SELECT p.id * 2 + x.column1, p.id, 1 + p.id % 3, p.name || x.column1 FROM patients p, (VALUES (0), (1)) x;
             INSERT INTO lab SELECT id, 'T', note FROM visits; INSERT INTO lab SELECT id, 'T', note FROM visits"
        )
    };
    let (c, said) = two(schema, &of("a", 30), &of("b", 20));
    for says in ["visits.patient_id to patients (on)", "visits.doctor_id to doctors (on)", "lab.visit_id to visits (on)", "patients.id its numbers follow one another"] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let charts = "SELECT p.name || '|' || v.note || d.name || coalesce(l.value, '') FROM patients p LEFT JOIN visits v ON v.patient_id = p.id LEFT JOIN doctors d ON d.id = v.doctor_id LEFT JOIN lab l ON l.visit_id = v.id ORDER BY 1";
    assert_eq!(all(&c, "A", charts), all(&c, "B", charts));
    for s in ["A", "B"] {
        assert_eq!((c.count(s, "SELECT count(*) FROM patients"), c.count(s, "SELECT count(*) FROM visits"), c.count(s, "SELECT count(*) FROM lab")), (50, 100, 200), "{s}");
        assert_eq!(c.count(s, "SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE v.note LIKE p.name || '_'"), 100, "{s}");
    }
    // A number that was given twice: what names it is in both charts here, and so it is there; nothing grows from that.
    c.open("A")
        .execute_batch("INSERT INTO patients VALUES (5, 'twice', '1999'); UPDATE visits SET note = note || '!' WHERE patient_id = 5; INSERT INTO visits VALUES (900, 5, 1, 'new')")
        .unwrap();
    c.settle(&["A", "B"]);
    let before = c.count("B", "SELECT count(*) FROM visits");
    c.open("B")
        .execute_batch(
            "UPDATE visits SET note = 'edited' WHERE rowid = (SELECT v.rowid FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.name = 'twice' AND v.note = 'new')",
        )
        .unwrap();
    for _ in 0..3 {
        c.settle(&["A", "B"]);
        assert_eq!(all(&c, "A", charts), all(&c, "B", charts));
        assert_eq!((c.count("A", "SELECT count(*) FROM visits"), c.count("B", "SELECT count(*) FROM visits")), (101, before));
        assert_eq!(c.count("A", "SELECT count(*) FROM visits WHERE note = 'edited'"), 1);
    }
    assert!(c.cfs(&["--config", "A/cfs.toml", "doctor"]).replace("\n", " ").split_whitespace().collect::<Vec<_>>().join(" ").contains("give one number to several rows"));
}

#[test]
fn a_number_in_two_words_leads_to_the_table_that_is_called_so() {
    let schema = "CREATE TABLE Patients (\"patient no\" INT, name TEXT, \"Insurance no\" TEXT); CREATE TABLE \"Visits 2024\" (\"patient no\" INT, what TEXT)";
    let of = |site: &str| {
        format!(
            "{THIRTY} INSERT INTO Patients SELECT i, '{site}' || i, '{site}' || (i * 7919) FROM c; INSERT INTO \"Visits 2024\" SELECT \"patient no\", name FROM Patients WHERE \"patient no\" > 3"
        )
    };
    let (c, said) = two(schema, &of("a"), &of("b"));
    assert!(said.contains("Visits 2024.patient no to Patients (on)") && said.contains("Patients.patient no its numbers follow one another"), "{said}");
    for s in ["A", "B"] {
        let right = c.count(s, "SELECT count(*) FROM \"Visits 2024\" v JOIN Patients p ON p.\"patient no\" = v.\"patient no\" WHERE p.name = v.what");
        assert_eq!((right, c.count(s, "SELECT count(DISTINCT \"patient no\") FROM Patients")), (54, 60), "{s}");
    }
}

#[test]
fn a_key_of_one_short_word_is_known_by_it() {
    let schema = "CREATE TABLE people (pid INTEGER PRIMARY KEY, full_name TEXT); CREATE TABLE consult (cid INTEGER PRIMARY KEY, pid INTEGER, seen_by INTEGER, note TEXT)";
    let of = |site: &str| format!("{THIRTY} INSERT INTO people SELECT i, '{site}' || i FROM c; INSERT INTO consult SELECT pid, pid, pid % 3, full_name FROM people");
    let (c, said) = two(schema, &of("a"), &of("b"));
    assert!(said.contains("consult.pid to people (on)"), "{said}");
    // What may be another's number, and leads nowhere, is at least told.
    assert!(said.contains("consult.seen_by: numbers, named like references"), "{said}");
    for s in ["A", "B"] {
        assert_eq!(c.count(s, "SELECT count(*) FROM consult c JOIN people p ON p.pid = c.pid AND p.full_name = c.note"), 60, "{s}");
    }
}
