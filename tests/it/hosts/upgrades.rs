//! Upgrades of the host application: at one site first, at all sites later, with synchronizations between.

use super::Clinic;

const SCHEMA: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, name TEXT NOT NULL, phone TEXT, weight INTEGER);
    CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id) ON DELETE CASCADE, note TEXT); CREATE INDEX v ON visit (patient_id);";

fn two() -> Clinic {
    let c = Clinic::new();
    c.make("A", 1, &[SCHEMA, "INSERT INTO patient VALUES (1, 'N1', 'Ann', '11', 60), (2, 'N2', 'Bob', '22', 70); INSERT INTO visit VALUES (1, 1, 'v1'), (2, 2, 'v2')"]);
    c.make("B", 2, &[SCHEMA]);
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &[]);
    c.settle(&["B", "A"]);
    c
}

fn text(c: &Clinic, site: &str, sql: &str) -> String {
    c.open(site).query_row(sql, [], |r| Ok(r.get::<_, Option<String>>(0)?.unwrap_or_default())).unwrap()
}

fn say(c: &Clinic, site: &str, lines: &str) {
    let file = c.path(site).join("cfs.toml");
    let mut f = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    std::io::Write::write_all(&mut f, lines.as_bytes()).unwrap();
}

#[test]
fn a_column_is_added_at_one_site_first() {
    let c = two();
    c.open("A").execute_batch("ALTER TABLE patient ADD COLUMN email TEXT; UPDATE patient SET email = 'a@x' WHERE id = 1").unwrap();
    c.settle(&["A", "B"]);
    let status = c.cfs(&["--config", "B/cfs.toml", "status"]);
    assert!(status.contains("\"B\" synchronizes 8 columns, others 9"), "{status}");
    c.open("B").execute_batch("UPDATE patient SET phone = '111'").unwrap();
    c.settle(&["B", "A"]);
    c.open("B").execute_batch("ALTER TABLE patient ADD COLUMN email TEXT DEFAULT 'none'").unwrap();
    c.settle(&["B", "A"]);
    assert_eq!(text(&c, "B", "SELECT email || phone FROM patient WHERE national_id = 'N1'"), "a@x111");
}

#[test]
fn a_column_changes_its_type_and_nobody_edited() {
    let c = two();
    let rebuilt = "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE new_patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, name TEXT NOT NULL, phone TEXT, weight REAL);
        INSERT INTO new_patient SELECT * FROM patient; DROP TABLE patient; ALTER TABLE new_patient RENAME TO patient; COMMIT";
    c.open("A").execute_batch(rebuilt).unwrap();
    assert_eq!(c.sync("A")["files_written"], 0, "60 and 60.0 are one in columns of numbers");
    // What is typed in the new type arrives where the column has the old one, and is no edit there.
    c.open("A").execute_batch("UPDATE patient SET weight = 61.5 WHERE id = 1; UPDATE patient SET weight = 71 WHERE id = 2").unwrap();
    c.settle(&["A", "B"]);
    for s in ["A", "B"] {
        assert_eq!(text(&c, s, "SELECT group_concat(CAST(weight AS REAL), ' ') FROM (SELECT weight FROM patient ORDER BY national_id)"), "61.5 71.0", "{s}");
    }
    c.open("B").execute_batch(rebuilt).unwrap();
    c.settle(&["B", "A"]);
    assert_eq!(text(&c, "B", "SELECT typeof(weight) FROM patient WHERE national_id = 'N2'"), "real");
}

/// `verify` called what came from the other site an edit that is not sent yet, for good.
#[test]
fn a_number_becomes_a_text_at_one_site_first() {
    let c = two();
    let rebuilt = |of: &str| {
        format!(
            "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE new_patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, name TEXT NOT NULL, phone {}, weight {});
            INSERT INTO new_patient SELECT * FROM patient; DROP TABLE patient; ALTER TABLE new_patient RENAME TO patient; COMMIT",
            if of == "phone" { "INTEGER" } else { "TEXT" },
            if of == "weight" { "TEXT" } else { "INTEGER" }
        )
    };
    let at_rest = || {
        for s in ["A", "B"] {
            let found = c.cfs(&["--config", &format!("{s}/cfs.toml"), "verify"]);
            assert!(found.contains("No differences"), "{s}: {found}");
        }
    };
    let held = |s: &str| text(&c, s, "SELECT group_concat(quote(weight) || quote(phone), ' ') FROM (SELECT weight, phone FROM patient ORDER BY national_id)");
    c.open("A").execute_batch(&rebuilt("weight")).unwrap();
    assert_eq!(c.sync("A")["files_written"], 0);
    at_rest();
    c.open("B").execute_batch("UPDATE patient SET weight = 99 WHERE national_id = 'N2'").unwrap();
    c.open("A").execute_batch("UPDATE patient SET weight = '6 stone' WHERE national_id = 'N1'").unwrap();
    c.settle(&["A", "B"]);
    at_rest();
    assert_eq!((&*held("A"), &*held("B")), ("'6 stone''11' '99''22'", "'6 stone''11' 99'22'"));
    // The other way round, and at the other site.
    c.open("B").execute_batch(&rebuilt("phone")).unwrap();
    c.settle(&["B", "A"]);
    at_rest();
    c.open("A").execute_batch("UPDATE patient SET phone = '0044' WHERE national_id = 'N1'; UPDATE patient SET phone = '333' WHERE national_id = 'N2'").unwrap();
    c.settle(&["A", "B"]);
    at_rest();
    // What a column of numbers cannot spell is not changed where it can be.
    assert_eq!((&*held("A"), &*held("B")), ("'6 stone''0044' '99''333'", "'6 stone'44 99333"));
}

#[test]
fn a_dropped_column_stays_with_the_others() {
    let c = two();
    c.open("A").execute_batch("ALTER TABLE patient DROP COLUMN phone").unwrap();
    c.settle(&["A", "B"]);
    c.open("B").execute_batch("UPDATE patient SET phone = '999' WHERE national_id = 'N2'").unwrap();
    c.open("A").execute_batch("UPDATE patient SET name = 'Bobby' WHERE national_id = 'N2'").unwrap();
    c.settle(&["A", "B"]);
    assert_eq!(text(&c, "B", "SELECT group_concat(name || phone, ' ') FROM (SELECT * FROM patient ORDER BY national_id)"), "Ann11 Bobby999");
    let status = c.cfs(&["--config", "A/cfs.toml", "status"]);
    assert!(status.contains("patient.phone is no longer in the database"), "{status}");
}

#[test]
fn a_renamed_column_travels_under_its_old_name() {
    let c = two();
    c.open("A").execute_batch("ALTER TABLE visit RENAME COLUMN note TO remark").unwrap();
    let check = c.run(&["--config", "A/cfs.toml", "init", "--check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.code() == Some(4) && said.contains("renamed.\"remark\" = \"note\""), "{said}");
    say(&c, "A", "\n[table.visit.renamed]\nremark = \"note\"\n");
    c.settle(&["A", "B"]);
    c.open("A").execute_batch("UPDATE visit SET remark = 'edited at A' WHERE id = 1").unwrap();
    c.open("B").execute_batch("UPDATE visit SET note = 'edited at B' WHERE note = 'v2'; INSERT INTO visit (patient_id, note) VALUES (1, 'new at B')").unwrap();
    c.settle(&["A", "B"]);
    c.open("B").execute_batch("ALTER TABLE visit RENAME COLUMN note TO remark").unwrap();
    say(&c, "B", "\n[table.visit.renamed]\nremark = \"note\"\n");
    c.settle(&["B", "A"]);
    c.open("B").execute_batch("UPDATE visit SET remark = 'once more' WHERE remark = 'edited at B'").unwrap();
    c.settle(&["B", "A"]);
    for s in ["A", "B"] {
        assert_eq!(text(&c, s, "SELECT group_concat(remark, '|') FROM (SELECT remark FROM visit ORDER BY remark)"), "edited at A|new at B|once more", "{s}");
    }
    assert_eq!(c.run(&["--config", "A/cfs.toml", "init", "--check"]).status.code(), Some(0));
}

/// A local column that was renamed must not become one that everybody shares.
#[test]
fn what_is_said_of_a_column_is_not_forgotten_with_its_name() {
    let c = Clinic::new();
    c.make(
        "A",
        1,
        &["CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, file_no INTEGER UNIQUE); INSERT INTO patient VALUES (1, 'N1', 1), (2, 'N2', 2), (3, 'N3', 3)"],
    );
    c.init("A", &[]);
    c.sync("A");
    c.open("A").execute_batch("ALTER TABLE patient RENAME COLUMN file_no TO chart_no").unwrap();
    let out = c.run(&["--config", "A/cfs.toml", "sync"]);
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("file_no"));
}

#[test]
fn a_table_is_added_and_one_goes() {
    let c = two();
    c.open("A")
        .execute_batch("CREATE TABLE allergy (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), what TEXT); INSERT INTO allergy VALUES (1, 1, 'nuts')")
        .unwrap();
    let check: serde_json::Value = serde_json::from_slice(&c.run(&["--config", "A/cfs.toml", "init", "--check", "--json"]).stdout).unwrap();
    let lines = check["findings"][0]["toml"].as_str().unwrap().to_owned();
    say(&c, "A", &format!("\n{lines}\n"));
    c.settle(&["A", "B"]);
    c.open("B").execute_batch("CREATE TABLE allergy (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(id), what TEXT)").unwrap();
    say(&c, "B", &format!("\n{lines}\n"));
    c.settle(&["B", "A"]);
    assert_eq!(text(&c, "B", "SELECT what FROM allergy"), "nuts");
    // A table that goes at A takes nothing from B.
    c.open("A").execute_batch("DROP TABLE visit").unwrap();
    for s in ["A", "B", "A", "B"] {
        c.sync(s);
    }
    assert_eq!(c.count("B", "SELECT count(*) FROM visit"), 2);
    let said = c.cfs(&["--config", "A/cfs.toml", "sync"]);
    assert!(said.contains("the table visit is no longer in the database"), "{said}");
}
