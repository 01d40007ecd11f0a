//! Several kinds of records in one database: what hangs off doctors and suppliers, and people who are no patients.

#![expect(clippy::disallowed_methods, reason = "cfs.toml is no file of the sync folder")]

use super::{Clinic, says};

const SCHEMA: &str = "
CREATE TABLE doctor (id INTEGER PRIMARY KEY, licence TEXT NOT NULL UNIQUE, name TEXT);
CREATE TABLE doctor_hours (id INTEGER PRIMARY KEY, doctor_id INTEGER NOT NULL REFERENCES doctor (id) ON DELETE CASCADE, day TEXT, opens TEXT);
CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, last_name TEXT NOT NULL, birth_date TEXT, gp INTEGER REFERENCES doctor (id));
CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient (id), day TEXT);
CREATE TABLE supplier (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, phone TEXT);
CREATE TABLE supply (id INTEGER PRIMARY KEY, supplier_id INTEGER NOT NULL REFERENCES supplier (id), code TEXT NOT NULL UNIQUE);
CREATE TABLE supply_used (id INTEGER PRIMARY KEY, visit_id INTEGER NOT NULL REFERENCES visit (id), supply_id INTEGER NOT NULL REFERENCES supply (id));
CREATE TABLE supply_order (id INTEGER PRIMARY KEY, supplier_id INTEGER NOT NULL REFERENCES supplier (id), ordered TEXT);
CREATE TABLE order_line (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES supply_order (id) ON DELETE CASCADE, supply_id INTEGER REFERENCES supply (id), n INTEGER);
CREATE TABLE staff (id INTEGER PRIMARY KEY, last_name TEXT NOT NULL, birth_date TEXT, national_id TEXT UNIQUE);
CREATE TABLE shift (id INTEGER PRIMARY KEY, staff_id INTEGER NOT NULL REFERENCES staff (id), day TEXT);";

/// Doctors, suppliers and one of the staff are the same at both, under other numbers.
const DATA: &str = "
INSERT INTO doctor SELECT value + 10 * n, 'L' || value, 'Doctor ' || value FROM temp.site, json_each('[1,2,3]');
INSERT INTO doctor_hours SELECT value + 20 * n, 1 + value % 3 + 10 * n, 'day ' || value || ' at ' || n, '8:00' FROM temp.site, json_each('[1,2,3,4,5]');
INSERT INTO patient SELECT value + 30 * n, 'P' || n || value, 'Person ' || value, '1980-01-0' || value, 1 + value % 3 + 10 * n FROM temp.site, json_each('[1,2,3,4,5,6]');
INSERT INTO visit SELECT value + 40 * n, value + 30 * n, 'day' FROM temp.site, json_each('[1,2,3,4,5,6]');
INSERT INTO supplier SELECT value + 50 * n, 'Supplier ' || value, '555 ' || value FROM temp.site, json_each('[1,2]');
INSERT INTO supply SELECT value + 60 * n, 1 + value % 2 + 50 * n, 'S' || value FROM temp.site, json_each('[1,2,3,4]');
INSERT INTO supply_used SELECT value + 70 * n, value + 40 * n, 1 + value % 4 + 60 * n FROM temp.site, json_each('[1,2,3,4,5]');
INSERT INTO supply_order SELECT value + 80 * n, 1 + value % 2 + 50 * n, 'order ' || value || ' of ' || n FROM temp.site, json_each('[1,2,3]');
INSERT INTO order_line SELECT value + 90 * n, 1 + value % 3 + 80 * n, 1 + value % 4 + 60 * n, value FROM temp.site, json_each('[1,2,3,4,5,6,7]');
INSERT INTO staff SELECT value + 15 * n, 'Worker ' || value, '1970-01-0' || value, printf('%06d-%04d', 700101 + 100 * value, CASE value WHEN 1 THEN 1234 ELSE 1000 * n + 77 * value END) FROM temp.site, json_each('[1,2,3,4]');
INSERT INTO shift SELECT value + 25 * n, 1 + value % 4 + 15 * n, 'shift ' || value || ' at ' || n FROM temp.site, json_each('[1,2,3,4]');";

const ROOTS: [&str; 8] = ["--root", "patient", "--root", "supplier", "--root", "doctor", "--root", "staff"];

#[test]
fn records_of_several_kinds() {
    let c = Clinic::new();
    for (site, n) in [("A", 1), ("B", 2)] {
        c.make(site, n, &[SCHEMA, DATA]);
    }
    c.make("C", 0, &[SCHEMA]);
    let said = c.cfs(&["init", "--database", "A/host.db", "--folder", "f", "--site", "A", "--dry-run"]);
    says(&said, &["doctor_hours (5), supply_order (3), order_line (7), staff (4), shift (4) have rows and belong to no record", "--root patient, then --root again"]);
    let said = c.init("A", &ROOTS);
    says(&said, &["FURTHER RECORDS supplier", "FURTHER RECORDS staff", "doctor_hours 5 rows by doctor_id", "matched on licence", "supply one if code is equal"]);
    assert!(!said.contains("belong to no record"), "{said}");
    c.sync("A");
    // Who joins does as the first did, without being told.
    c.init("C", &[]);
    c.settle(&["C", "A"]);
    c.same(&["A", "C"]);
    c.init("B", &["--match-on", "national_id"]);
    c.settle(&["B", "A", "C"]);
    c.same(&["A", "B", "C"]);
    let count = |site: &str, table: &str| c.count(site, &format!("SELECT count(*) FROM {table}"));
    for (table, rows) in [("doctor", 3), ("doctor_hours", 10), ("supplier", 2), ("supply", 4), ("supply_order", 6), ("order_line", 14), ("patient", 12), ("staff", 7), ("shift", 8)]
    {
        assert_eq!(["A", "B", "C"].map(|s| count(s, table)), [rows; 3], "{table}");
    }
    assert!(c.cfs(&["--config", "C/cfs.toml", "init", "--check"]).contains("fit together"));
    // What is written below a doctor and a supplier travels, and so does a deletion of such a record.
    c.open("B").execute_batch("UPDATE order_line SET n = 99 WHERE id = (SELECT min(id) FROM order_line); UPDATE doctor_hours SET opens = '7:30' WHERE day = 'day 1 at 1'").unwrap();
    c.settle(&["B", "A", "C"]);
    c.same(&["A", "B", "C"]);
    assert_eq!(c.count("C", "SELECT count(*) FROM order_line WHERE n = 99"), 1);
    let staff = c.count("A", "SELECT id FROM staff WHERE last_name = 'Worker 2' ORDER BY id LIMIT 1");
    c.cfs(&["--config", "A/cfs.toml", "delete", &format!("staff:{staff}")]);
    c.settle(&["A", "B", "C"]);
    c.same(&["A", "B", "C"]);
    assert_eq!(["A", "B", "C"].map(|s| count(s, "staff")), [6; 3]);
}

#[test]
fn a_further_root_must_be_there() {
    let c = Clinic::new();
    c.make("A", 1, &[SCHEMA, DATA]);
    let out = c.run(&["init", "--database", "A/host.db", "--folder", "f", "--site", "A", "--root", "patient", "--root", "suplier"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("did you mean `--root supplier`"), "{out:?}");
}

#[test]
fn what_is_a_record_at_one_place_is_no_part_of_one_at_another() {
    let c = Clinic::new();
    for (site, n) in [("A", 1), ("B", 2)] {
        c.make(site, n, &[SCHEMA, DATA]);
    }
    // Visits are records of their own, though prescriptions and the like may point to them.
    let said = c.init("A", &["--root", "patient", "--root", "visit"]);
    says(&said, &["FURTHER RECORDS visit", "supply_used 5 rows by visit_id"]);
    c.sync("A");
    let flags = ["init", "--database", "B/host.db", "--folder", "f", "--site", "B", "--match-on", "national_id"];
    let out = c.run(&[&flags[..], &["--root", "patient", "--root", "supply_used"]].concat());
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && err.contains("rows of `supply_used` are records of their own in cfs.toml ([type.supply_used]), and parts of another record"),
        "{out:?}"
    );
    assert!(!c.path("B/cfs.toml").exists());
    c.init("B", &["--match-on", "national_id"]);
    c.settle(&["B", "A"]);
    c.same(&["A", "B"]);
    assert_eq!(c.count("A", "SELECT count(*) FROM visit"), 12);
    assert_eq!(c.count("B", "SELECT count(*) FROM supply_used"), 10);
    // A person who changes that later is told, and nothing is done.
    let file = c.path("B/cfs.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = toml.split_once("[type.visit]").unwrap();
    let rest = rest.split_once("\n[").unwrap().1;
    let changed = format!("{before}\n[{}", rest.replace("[table.supply_used]", "[table.visit]\nowner = \"patient_id\"\n[table.supply_used]"));
    std::fs::write(&file, changed).unwrap();
    c.open("B").execute_batch("UPDATE visit SET day = 'another'").unwrap();
    let out = c.run(&["--config", "B/cfs.toml", "sync"]);
    assert!(out.status.code() == Some(2) && String::from_utf8_lossy(&out.stderr).contains("`visit` are part of `patient`"), "{out:?}");
    std::fs::write(&file, toml).unwrap();
    c.settle(&["B", "A"]);
    c.same(&["A", "B"]);
    assert_eq!(c.count("A", "SELECT count(*) FROM visit WHERE day = 'another'"), 12);
}

/// What `init` proposed is a person's to change: those who join follow what the first synchronization went by.
#[test]
fn who_sets_up_may_think_again_before_the_first_synchronization() {
    let c = Clinic::new();
    for (site, n) in [("A", 1), ("B", 2)] {
        c.make(site, n, &[SCHEMA, DATA]);
    }
    c.init("A", &[]);
    let file = c.path("A/cfs.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = toml.split_once("[table.supply_used]").unwrap();
    let changed = format!("{before}[type.supply_used]\n{}", rest.split_once('\n').unwrap().1.split_once('\n').unwrap().1);
    std::fs::write(&file, changed).unwrap();
    c.init("A", &[]);
    c.sync("A");
    c.init("B", &["--match-on", "national_id"]);
    let theirs = std::fs::read_to_string(c.path("B/cfs.toml")).unwrap();
    assert!(theirs.contains("[type.supply_used]\n# Matching"), "{theirs}");
    c.settle(&["B", "A"]);
    c.same(&["A", "B"]);
    assert_eq!(c.count("A", "SELECT count(*) FROM supply_used"), 10);
}

/// Tables that only point to each other are reached from nowhere: who joins has them all the same, as the folder has them.
#[test]
fn who_joins_has_every_kind_of_record() {
    const STAFF: &str = "CREATE TABLE patient (id INTEGER PRIMARY KEY, national_id TEXT UNIQUE, last_name TEXT, birth_date TEXT);
        CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient);
        CREATE TABLE department (id INTEGER PRIMARY KEY, code TEXT UNIQUE, head INTEGER REFERENCES employee);
        CREATE TABLE employee (id INTEGER PRIMARY KEY, badge TEXT UNIQUE, department_id INTEGER REFERENCES department);";
    let c = Clinic::new();
    c.make("A", 1, &[STAFF, "INSERT INTO department VALUES (1, 'D', NULL); INSERT INTO employee VALUES (7, 'E', 1); UPDATE department SET head = 7; INSERT INTO patient VALUES (1, 'N', 'P', '1980-01-01')"]);
    c.make("B", 2, &[STAFF, "INSERT INTO employee VALUES (9, 'E', NULL), (8, 'F', NULL)"]);
    c.init("A", &["--root", "patient", "--root", "employee", "--root", "Employee"]);
    let file = c.path("A/cfs.toml");
    // No codes after all, by the word of a person.
    let toml = std::fs::read_to_string(&file).unwrap().replacen("[type.department]\nshared = true", "[type.department]", 1);
    std::fs::write(&file, &toml).unwrap();
    c.sync("A");
    c.init("B", &["--match-on", "national_id"]);
    let theirs = std::fs::read_to_string(c.path("B/cfs.toml")).unwrap();
    assert!(theirs.contains("[type.employee]\nshared = true") && theirs.contains("[type.department]\n# Matching"), "{theirs}");
    c.settle(&["B", "A"]);
    c.same(&["A", "B"]);
    assert_eq!(["A", "B"].map(|s| c.count(s, "SELECT count(*) FROM employee")), [2, 2]);
}
