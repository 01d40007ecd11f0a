use super::*;
use crate::host::mapping::{Key, LocalDeletes, Role, Rule};
use std::path::Path;

const SQL: &str = "
    CREATE TABLE doctor (doctor_id INTEGER PRIMARY KEY, npi TEXT NOT NULL UNIQUE, boss INTEGER REFERENCES doctor);
    CREATE TABLE place (code TEXT PRIMARY KEY, head INTEGER REFERENCES doctor);
    CREATE TABLE patient (id INTEGER PRIMARY KEY, file_no INTEGER NOT NULL UNIQUE, nid TEXT UNIQUE, gp INTEGER REFERENCES doctor, uuid TEXT UNIQUE, updated TEXT, g AS (file_no + 1));
    CREATE TABLE visit (id INTEGER PRIMARY KEY, patient_uuid TEXT NOT NULL REFERENCES Patient(uuid), no TEXT NOT NULL UNIQUE, day TEXT, log_id INTEGER REFERENCES log);
    CREATE TABLE line (visit_id INTEGER NOT NULL REFERENCES visit, n INTEGER NOT NULL, ref_table TEXT, ref_id INTEGER, PRIMARY KEY (visit_id, n));
    CREATE TABLE part (visit_id INTEGER NOT NULL, n INTEGER NOT NULL, k TEXT, PRIMARY KEY (visit_id, n, k), FOREIGN KEY (visit_id, n) REFERENCES line);
    CREATE TABLE photo (patient_id INTEGER PRIMARY KEY REFERENCES patient, img BLOB);
    CREATE TABLE log (id INTEGER PRIMARY KEY, x);
    CREATE TABLE hidden (rowid, oid, _rowid_, patient INTEGER);
    CREATE TRIGGER t AFTER UPDATE ON visit BEGIN SELECT 1; END;";

const GOOD: &str = r#"
    [type.patient]
    match_on = "nid"
    where = "file_no > 0"
    [type.doctor]
    shared = true
    match_on = "npi"
    [type.place]
    shared = true
    match_on = "code"
    [table.patient]
    local = ["file_no"]
    rules.updated = "max"
    review = ["updated"]
    [table.part]
    owner = ["visit_id", "n"]
    [table.visit]
    owner = "patient_uuid"
    local.no = "SELECT substr(:day, 1, 4) || max(no) FROM visit"
    local_deletes = "ask"
    [table.line]
    local.n = { keep_if_free = true }
    references_by.ref_id = "ref_table"
    rewrites = false
    [table.photo]
    [leave_out]
    log = "a log"
    gone = "was here once"
"#;

fn run(toml: &str) -> Result<Mapping, String> {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(SQL).unwrap();
    let schema = Schema::read(&db).unwrap();
    let text = format!("database = \"d\"\nfolder = \"f\"\nsite = \"s\"\n{toml}");
    let config = Config::parse(&text, Path::new("cfs.toml")).map_err(|e| e.to_string())?;
    resolve(&config, &schema, &db).map_err(|e| e.to_string())
}

fn table<'a>(m: &'a Mapping, name: &str) -> &'a Table {
    &m.tables[m.table(name).unwrap()]
}

#[test]
fn parents_stand_before_children_and_shared_types_first() {
    let m = run(GOOD).unwrap();
    let types: Vec<_> = m.types.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(types, ["doctor", "place", "patient"]);
    let names: Vec<_> = m.tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["doctor", "place", "patient", "visit", "photo", "line", "part"]);
    assert_eq!(m.types[2].tables, [2, 3, 4, 5, 6]);
    assert_eq!(m.types[2].filter.as_deref(), Some("file_no > 0"));
}

#[test]
fn keys_references_and_roles() {
    let m = run(GOOD).unwrap();
    let visit = table(&m, "visit");
    assert_eq!(visit.owner_ref().unwrap().field, "patient_uuid");
    assert_eq!(visit.owner_ref().unwrap().target, Target::Table { table: 2, columns: vec!["uuid".into()] });
    assert!(visit.surrogate && !visit.derived && visit.triggers.any() && visit.local_deletes == LocalDeletes::Ask);
    assert_eq!(visit.column("log_id").unwrap().role, Role::Data, "what points to a table left out is data");
    assert_eq!(visit.unique, [["no"]]);
    let part = table(&m, "part");
    assert_eq!(part.owner_ref().unwrap().field, "visit_id+n");
    assert_eq!(part.key, Key::Columns(vec!["visit_id".into(), "n".into(), "k".into()]));
    let line = table(&m, "line");
    assert_eq!(line.column("n").unwrap().role, Role::Local { assign: None, count: None, keep_if_free: true });
    assert_eq!(line.references[1].target, Target::ByColumn("ref_table".into()));
    assert!(!line.rewrites && !line.derived);
    let photo = table(&m, "photo");
    assert_eq!((&photo.key, photo.surrogate, photo.derived), (&Key::Rowid("patient_id".into()), false, true));
    let patient = table(&m, "patient");
    assert_eq!(
        patient.column("file_no").unwrap().role,
        Role::Local { assign: Some("SELECT 1 + coalesce(max(\"file_no\"), 0) FROM \"patient\"".into()), count: None, keep_if_free: false }
    );
    assert!(patient.column("g").is_none() && patient.column("updated").unwrap().rule == Rule::Max && patient.column("updated").unwrap().review);
    assert!(table(&m, "doctor").derived && table(&m, "doctor").surrogate && table(&m, "place").derived);
    assert!(m.tables.iter().all(|t| t.no_insert.is_none() && t.no_update.is_none()));
}

#[test]
fn what_cannot_be_meant_is_said_with_its_line() {
    let cases = [
        (GOOD.replace("[table.photo]", "[table.foto]"), "cfs.toml, line 28: the database has no table `foto`; did you mean `photo`?"),
        (GOOD.replace("\"nid\"", "\"nidd\""), "line 6: table `patient` has no column `nidd`; did you mean `nid`?"),
        (GOOD.replace("owner = \"patient_uuid\"", "owner = \"day\""), "`day` of `visit` does not point to another table that is synchronized"),
        (GOOD.replace("[table.photo]", "[table.log]\n[table.photo]\n").replace("log = \"a log\"", ""), "no column of `log` points to"),
        (GOOD.replace("file_no > 0", "file_no >"), "`where` of `patient` is not a condition"),
        (GOOD.replace("file_no > 0", "1) OR (1"), ""),
        (GOOD.replace(":day", ":date"), "asks for `:date`, but `visit` has no such column"),
        (GOOD.replace("SELECT substr(:day, 1, 4) || max(no) FROM visit", "DELETE FROM visit"), "is not understood"),
        (GOOD.replace("[table.photo]", "[table.hidden]\nreferences.patient = \"patient\"\n[table.photo]"), "its columns hide the rowid"),
        (GOOD.replace("[table.photo]", "[table.photo]\nlocal = [\"patient_id\"]"), "is a reference; it cannot be local as well"),
        ("".to_owned(), "no record type"),
    ];
    for (toml, want) in cases {
        match run(&toml) {
            Ok(_) => assert!(want.is_empty(), "accepted, but wanted: {want}"),
            Err(said) => assert!(said.contains(want) && !want.is_empty(), "{said}\n wanted: {want}"),
        }
    }
}

#[test]
fn a_table_whose_trigger_needs_the_host_itself_is_read_only() {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(SQL).unwrap();
    db.execute_batch("CREATE TRIGGER host_only AFTER INSERT ON photo BEGIN SELECT thumbnail(NEW.img); END").unwrap();
    let text = format!("database = \"d\"\nfolder = \"f\"\nsite = \"s\"\n{GOOD}");
    let config = Config::parse(&text, Path::new("cfs.toml")).unwrap();
    let m = resolve(&config, &Schema::read(&db).unwrap(), &db).unwrap();
    assert_eq!(table(&m, "photo").no_insert.as_deref(), Some("no such function: thumbnail"));
    assert_eq!(table(&m, "photo").no_update, None);
    assert_eq!(table(&m, "visit").no_insert, None);
}
