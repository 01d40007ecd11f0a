//! A compact clinic: one table of every kind that a clinic's schema has.

use cloud_folder_sync::config::Config;
use cloud_folder_sync::host::mapping::Mapping;
use cloud_folder_sync::host::resolve::resolve;
use cloud_folder_sync::host::schema::Schema;
use rusqlite::Connection;
use std::path::Path;

/// `host_clock` stands for the host's own clock, so that its trigger is repeatable.
pub(crate) const SQL: &str = "
CREATE TABLE host_clock (now TEXT);
INSERT INTO host_clock VALUES ('0');
CREATE TABLE doctor (doctor_id INTEGER PRIMARY KEY, npi TEXT NOT NULL UNIQUE, name TEXT);
CREATE TABLE term (term_id INTEGER PRIMARY KEY, kind TEXT NOT NULL, code TEXT NOT NULL, label TEXT, UNIQUE (kind, code));
CREATE TABLE patient (patient_id INTEGER PRIMARY KEY AUTOINCREMENT, file_no INTEGER NOT NULL UNIQUE, national_id TEXT UNIQUE,
  last_name TEXT NOT NULL CHECK (length(last_name) > 0), first_name TEXT, phone TEXT, doctor_id INTEGER REFERENCES doctor(doctor_id), photo BLOB, updated_at TEXT);
CREATE TABLE visit (visit_id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, day TEXT, notes TEXT, doctor_id INTEGER REFERENCES doctor(doctor_id));
CREATE TABLE prescription (prescription_id INTEGER PRIMARY KEY, visit_id INTEGER NOT NULL REFERENCES visit(visit_id) ON DELETE CASCADE, drug TEXT, dose TEXT);
CREATE TABLE allergy (allergy_id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, code TEXT NOT NULL, severity TEXT, UNIQUE (patient_id, code));
CREATE TABLE patient_link (patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, relative_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, relation TEXT, PRIMARY KEY (patient_id, relative_id));
CREATE TABLE memo (patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, words TEXT);
CREATE TABLE invoice (invoice_id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, title TEXT);
CREATE TABLE invoice_line (invoice_id INTEGER NOT NULL REFERENCES invoice(invoice_id) ON DELETE CASCADE, line_no INTEGER NOT NULL, what TEXT, cents TEXT, PRIMARY KEY (invoice_id, line_no));
CREATE TABLE diagnosis (diagnosis_id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patient(patient_id) ON DELETE CASCADE, term_id INTEGER NOT NULL REFERENCES term(term_id), words TEXT);
CREATE TRIGGER touch AFTER UPDATE ON patient WHEN NEW.updated_at IS OLD.updated_at BEGIN
  UPDATE patient SET updated_at = (SELECT now FROM host_clock) WHERE patient_id = NEW.patient_id; END;
";

pub(crate) const TOML: &str = r#"
[type.doctor]
shared = true
match_on = "npi"
[type.term]
shared = true
match_on = ["kind", "code"]
[type.patient]
match_on = "national_id"
[table.patient]
local = ["file_no"]
rules.updated_at = "max"
[table.visit]
owner = "patient_id"
[table.prescription]
owner = "visit_id"
[table.allergy]
owner = "patient_id"
[table.patient_link]
owner = "patient_id"
[table.memo]
owner = "patient_id"
[table.invoice]
owner = "patient_id"
[table.invoice_line]
owner = "invoice_id"
local.line_no = { keep_if_free = true }
[table.diagnosis]
owner = "patient_id"
[leave_out]
host_clock = "the host's own"
"#;

/// A patient with something at every depth.
pub(crate) const P1: &str = "
INSERT INTO doctor (npi, name) VALUES ('npi1', 'Dr One');
INSERT INTO patient (file_no, national_id, last_name, phone, doctor_id, photo) VALUES (1, 'p1', 'Name p1', '100', 1, x'00ff10');
INSERT INTO visit (patient_id, day, notes, doctor_id) VALUES (1, 'd1', 'first', 1);
INSERT INTO prescription (visit_id, drug, dose) VALUES (1, 'aspirin', '1'), (1, 'codeine', '2');
INSERT INTO allergy (patient_id, code, severity) VALUES (1, 'nuts', 'mild');
INSERT INTO memo VALUES (1, 'hello');
INSERT INTO invoice (patient_id, title) VALUES (1, 'R1');
INSERT INTO invoice_line VALUES (1, 1, 'visit', '50'), (1, 2, 'stitches', '70');
";

pub(crate) fn open(sql: &str) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_prepared_statement_cache_capacity(512);
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    conn.execute_batch(sql).unwrap();
    conn
}

pub(crate) fn mapping(conn: &Connection, toml: &str) -> Mapping {
    let text = format!("database = \"clinic.db\"\nfolder = \"sync\"\nsite = \"x\"\n{toml}");
    let config = Config::parse(&text, Path::new("cfs.toml")).unwrap_or_else(|e| panic!("{e}"));
    resolve(&config, &Schema::read(conn).unwrap(), conn).unwrap_or_else(|e| panic!("{e}"))
}
