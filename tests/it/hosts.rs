//! Applications nobody here designed: `cfs init` without a hand-edited line, an empty database that joins, one
//! with its own people, and edits at all of them. `fixtures/hosts` says what each is about.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod compare;
mod found;
mod outside;
mod several;
mod upgrades;

use compare::assert_same;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Sites of one application that share a folder.
pub(crate) struct Clinic {
    dir: tempfile::TempDir,
}

impl Clinic {
    pub(crate) fn new() -> Clinic {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("f")).unwrap();
        Clinic { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn db(&self, site: &str) -> PathBuf {
        self.path(site).join("host.db")
    }

    pub(crate) fn open(&self, site: &str) -> Connection {
        Connection::open(self.db(site)).unwrap()
    }

    /// A database made from SQL; `n` is what the data read as `temp.site`.
    pub(crate) fn make(&self, site: &str, n: u32, sql: &[&str]) {
        std::fs::create_dir(self.path(site)).unwrap();
        let conn = self.open(site);
        conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; CREATE TEMP TABLE site (n); INSERT INTO temp.site VALUES ({n})")).unwrap();
        sql.iter().for_each(|s| conn.execute_batch(s).unwrap());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_on("state", args)
    }

    /// On the computer whose state directory this is.
    pub(crate) fn run_on(&self, state: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cfs"))
            .args(args)
            .current_dir(self.dir.path())
            .env("XDG_STATE_HOME", self.path(state))
            .env("LOCALAPPDATA", self.path(state))
            .output()
            .unwrap()
    }

    pub(crate) fn cfs(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "cfs {args:?}: {}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub(crate) fn init(&self, site: &str, flags: &[&str]) -> String {
        let db = format!("{site}/host.db");
        self.cfs(&[&["init", "--database", &db, "--folder", "f", "--site", site], flags].concat())
    }

    pub(crate) fn sync(&self, site: &str) -> serde_json::Value {
        serde_json::from_str(&self.cfs(&["--config", &format!("{site}/cfs.toml"), "sync", "--json"])).unwrap()
    }

    /// Everybody syncs until nobody has anything to say; nothing may be held.
    pub(crate) fn settle(&self, sites: &[&str]) {
        for _ in 0..2 {
            sites.iter().for_each(|s| drop(self.sync(s)));
        }
        for s in sites {
            let r = self.sync(s);
            assert_eq!((r["files_written"].as_u64(), r["held"].as_array().map(Vec::len)), (Some(0), Some(0)), "{s}: {r:#}");
        }
    }

    fn same(&self, sites: &[&str]) {
        let (first, rest) = sites.split_first().unwrap();
        rest.iter().for_each(|s| assert_same(&self.db(first), &self.db(s), &self.path(first).join("cfs.toml")));
    }

    pub(crate) fn count(&self, site: &str, sql: &str) -> i64 {
        self.open(site).query_row(sql, [], |r| r.get(0)).unwrap()
    }
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts").join(name)).unwrap_or_default()
}

/// Sites A and B with people of their own, C without any; `flags` say who is who.
fn three(name: &str, flags: &[&str]) -> (Clinic, String) {
    let c = Clinic::new();
    let (schema, base, data) = (fixture(&format!("{name}.sql")), fixture(&format!("{name}.base.sql")), fixture(&format!("{name}.data.sql")));
    c.make("A", 1, &[&schema, &base, &data]);
    c.make("B", 2, &[&schema, &base, &data]);
    c.make("C", 0, &[&schema, &base]);
    let said = c.init("A", &[]);
    c.sync("A");
    c.init("C", &[]);
    c.settle(&["C", "A"]);
    c.same(&["A", "C"]);
    c.init("B", flags);
    c.settle(&["B", "A", "C"]);
    c.same(&["A", "B", "C"]);
    (c, said)
}

fn says(report: &str, all: &[&str]) {
    let flat = report.split_whitespace().collect::<Vec<_>>().join(" ");
    all.iter().for_each(|s| assert!(flat.contains(s), "{s:?} is not in\n{report}"));
}

#[test]
fn a_person_below_its_address() {
    let (c, said) = three("address", &["--match-on", "uuid"]);
    says(
        &said,
        &[
            "RECORD PatientAddress",
            "the record begins there",
            "Appointment.patientUuid to Patient (on): 30 of 30",
            "LoggedInUser who is logged in here",
            "PrescribedDrug.syncStatus",
        ],
    );
    assert_eq!(c.count("C", "SELECT count(*) FROM Patient"), 50);
    // The application's own search index knows who came, and survives changes to them.
    assert_eq!(c.count("C", "SELECT count(*) FROM PatientFts WHERE PatientFts MATCH 'person'"), 50);
    c.open("B").execute_batch("UPDATE Patient SET fullName = 'Renamed One' WHERE fullName = 'Person 21'; UPDATE PatientAddress SET district = 'Moved' WHERE streetAddress = '3 High Street'; UPDATE Appointment SET syncStatus = 'DONE'").unwrap();
    c.settle(&["B", "A", "C"]);
    c.same(&["A", "B", "C"]);
    for s in ["A", "C"] {
        assert_eq!(c.count(s, "SELECT count(*) FROM PatientFts WHERE PatientFts MATCH 'renamed'"), 1);
        assert_eq!(c.count(s, "SELECT count(*) FROM Appointment WHERE syncStatus = 'DONE'"), 0, "the application's own synchronization is its own");
        c.open(s).execute_batch("INSERT INTO PatientFts (PatientFts) VALUES ('integrity-check')").unwrap();
    }
}

#[test]
fn references_by_convention_only() {
    let (c, said) = three("convention", &["--match-on", "ref"]);
    says(
        &said,
        &[
            "RECORD party_party",
            "the application's own dictionary says so",
            "texts name a model and a row of it",
            "res_user.password_hash it looks secret",
            "ir_model_field describes the application's own tables",
        ],
    );
    // 40 people at each of two sites, ten of them at both; doctors and hospitals are parties as well.
    assert_eq!(c.count("C", "SELECT count(*) FROM health_patient"), 70);
    assert_eq!(c.count("C", "SELECT count(DISTINCT ref) FROM party_party WHERE is_patient"), 70);
    assert_eq!(c.count("C", "SELECT count(*) FROM res_user WHERE password_hash IS NOT NULL"), 0, "secrets stay where they are");
    let misled =
        "SELECT count(*) FROM ir_attachment a WHERE resource LIKE 'health.patient,%' AND NOT EXISTS (SELECT 1 FROM health_patient p WHERE 'health.patient,' || p.id = a.resource)";
    assert_eq!(c.count("B", misled), 0);
    c.open("C").execute_batch("UPDATE ir_attachment SET name = 'renamed' WHERE id = 3; INSERT INTO ir_attachment (name, resource) SELECT 'new', 'party.party,' || max(id) FROM party_party WHERE is_patient; UPDATE health_patient_evaluation SET weight = CAST('71.25' AS BLOB) WHERE id = 2").unwrap();
    c.open("A").execute_batch("UPDATE ir_attachment SET resource = 'health.patient,5' WHERE resource = 'health.patient,4'").unwrap();
    c.settle(&["C", "A", "B"]);
    c.same(&["A", "B", "C"]);
    assert_eq!(c.count("B", "SELECT count(*) FROM ir_attachment WHERE name IN ('new', 'renamed')"), 2);
}

#[test]
fn a_warehouse_with_a_vocabulary() {
    let (c, said) = three("warehouse", &["--no-match"]);
    says(&said, &["RECORD person", "concept 30,000 rows, by its name a published list"]);
    assert_eq!(c.count("C", "SELECT count(*) FROM concept"), 30_000);
    assert_eq!(c.count("C", "SELECT count(*) FROM person"), 80);
    assert!(!c.path("f/records/concept").exists());
}

#[test]
fn an_imaging_server_that_nobody_else_may_delete_from() {
    let (c, said) = three("imaging", &["--match-on", "publicId"]);
    says(&said, &["matched on publicId", "its rows cannot be deleted from outside (no such function: SignalResourceDeleted)", "Changes a log"]);
    assert_eq!(c.count("C", "SELECT count(*) FROM Resources"), 100);
    let shown: serde_json::Value = serde_json::from_str(&c.cfs(&["--config", "A/cfs.toml", "show", "Resources:401", "--json"])).unwrap();
    let id = shown["record"].as_str().or(shown["id"].as_str()).unwrap().to_owned();
    c.cfs(&["--config", "A/cfs.toml", "delete", &id]);
    let a = c.sync("A");
    let b = c.sync("C");
    for r in [a, b] {
        let reason = r["held"][0]["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains("can be deleted by the application itself only") && reason.contains("Signal"), "{r:#}");
    }
    assert_eq!(c.count("C", "SELECT count(*) FROM Resources"), 100);
}

fn shared() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !dir.join("nasty/nasty.sql").exists() {
        eprintln!("skipped: needs ../shared/data");
        return None;
    }
    Some(dir)
}

/// The tables and triggers of `nasty.sql` without its data.
fn nasty(data: &Path) -> (String, String) {
    let all = std::fs::read_to_string(data.join("nasty/nasty.sql")).unwrap();
    let (start, end) = (all.find("-- data\n").unwrap(), all.find("-- ------------------------------------------------------------------ N09").unwrap());
    (all.clone(), format!("{}\n{}", &all[..start], &all[end..]))
}

#[test]
fn every_legal_oddity_at_once() {
    let Some(data) = shared() else { return };
    let (full, empty) = nasty(&data);
    for encoding in ["UTF-8", "UTF-16le"] {
        let c = Clinic::new();
        c.make("North", 1, &[&format!("PRAGMA encoding = '{encoding}'"), &full]);
        c.make("South", 2, &[&empty, "INSERT INTO counters VALUES ('chart no', 1001), ('note', 0)"]);
        let said = c.init("North", &[]);
        says(&said, &["1 of 3 rows of bed have no patient_id"]);
        c.sync("North");
        c.init("South", &[]);
        c.settle(&["South", "North"]);
        // A bed without a patient is nobody's, and a trigger of South makes a row for each patient.
        c.open("North").execute_batch("DELETE FROM bed WHERE patient_id IS NULL").unwrap();
        c.open("South").execute_batch("DELETE FROM wide WHERE patient_id > 2").unwrap();
        c.same(&["North", "South"]);
        assert_eq!(c.count("South", "SELECT count(*) FROM notes_fts WHERE notes_fts MATCH 'fever'"), 1);
        c.open("South").execute_batch("INSERT INTO notes_fts (notes_fts) VALUES ('integrity-check')").unwrap();
        // Edits of the odd places, at both.
        c.open("South")
            .execute_batch(
                "PRAGMA foreign_keys = ON; UPDATE patient SET \"💊\" = 'pill', responsible = 'TECH' WHERE id = 2; UPDATE lab_result SET value = x'01' WHERE analyte = 'K';
                 UPDATE vitals SET v = 99 WHERE rowid = (SELECT min(rowid) FROM vitals); INSERT INTO diagnosis_visit SELECT id, 'v2', 0.25 FROM diagnosis WHERE icd = 'E10';
                 UPDATE ranked SET pos = pos + 10; UPDATE ranked SET pos = 14 - pos; INSERT INTO allergy (patient_id, substance) VALUES (2, ' spaces ')",
            )
            .unwrap();
        c.open("North")
            .execute_batch(
                "PRAGMA foreign_keys = ON; UPDATE visit SET provider = 'NURSE.öz' WHERE id = 'v1'; UPDATE panel_value SET v = 14 WHERE analyte = 'Hb' AND patient_id = 1;
                 UPDATE val SET x = CAST(x'FF00FE' AS TEXT) WHERE label = 'pi'; REPLACE INTO realkey VALUES (0.1, 1, 'replaced'); UPDATE nullkey SET v = 'was null' WHERE rowid = 2;
                 UPDATE \"Visit Notes\" SET \"note text\" = 'Feverish' WHERE \"note id\" = 1; UPDATE \"таблица 表 💊\" SET \"колонка\" = 'другое'",
            )
            .unwrap();
        c.settle(&["South", "North"]);
        c.same(&["North", "South"]);
        assert_eq!(c.count("South", "SELECT count(*) FROM notes_fts WHERE notes_fts MATCH 'feverish'"), 1);
    }
}

#[test]
fn a_web_clinic_with_people_at_two_sites() {
    let Some(data) = shared() else { return };
    let c = Clinic::new();
    for (site, file) in [("North", "opal_siteA.db.xz"), ("South", "opal_siteB.db.xz")] {
        std::fs::create_dir(c.path(site)).unwrap();
        let Ok(out) = Command::new("xz").arg("-dc").arg(data.join("opal").join(file)).output() else {
            eprintln!("skipped: needs xz");
            return;
        };
        std::io::Write::write_all(&mut std::fs::File::create(c.db(site)).unwrap(), &out.stdout).unwrap();
    }
    let said = c.init("North", &[]);
    says(&said, &["RECORD opal_patient", "matched on clinic_demographics.nhs_number", "auth_user.password it looks secret"]);
    c.sync("North");
    let refused = c.run(&["init", "--database", "South/host.db", "--folder", "f", "--site", "South"]);
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("15 of them look like the same people by clinic_demographics.nhs_number"), "{said}");
    c.init("South", &["--match-on", "clinic_demographics.hospital_number"]);
    c.settle(&["South", "North"]);
    c.same(&["North", "South"]);
    for table in ["opal_patient", "clinic_demographics"] {
        assert_eq!(c.count("South", &format!("SELECT count(*) FROM {table}")), 105, "fifteen people are at both sites");
    }
}

/// A comparison that cannot see a difference proves nothing.
#[test]
fn the_comparison_sees_a_difference() {
    let (schema, data) = (fixture("convention.sql"), fixture("convention.data.sql"));
    let differs = |sql: &str| {
        let c = Clinic::new();
        c.make("A", 1, &[&schema, &data]);
        c.make("B", 1, &[&schema, &data]);
        c.init("A", &[]);
        c.open("B").execute_batch(sql).unwrap();
        std::panic::catch_unwind(|| c.same(&["A", "B"])).is_err()
    };
    assert!(!differs("UPDATE res_user SET password_hash = 'other'; UPDATE health_lab_critearea SET id = id + 1000"));
    for sql in [
        "UPDATE health_lab_critearea SET name = 'glucose' WHERE id = 3",
        "UPDATE health_prescription_line SET name = 1 WHERE id = 3",
        "UPDATE ir_attachment SET resource = 'health.patient,5' WHERE id = 1",
        "DELETE FROM party_address WHERE id = 7",
        "UPDATE health_patient_evaluation SET weight = '70.5' WHERE id = 1",
    ] {
        assert!(differs(sql), "{sql}");
    }
}
