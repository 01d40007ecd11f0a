//! What must be true of several sites.

use super::Site;
use super::cloud::Cloud;

use cloud_folder_sync::id::RecordId;
use cloud_folder_sync::names::record_path;
use cloud_folder_sync::state;
use cloud_folder_sync::value::Value;
use cloud_folder_sync::xml::write_record;
use rusqlite::types::ValueRef;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn text(v: ValueRef<'_>) -> String {
    match v {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(r) => r.to_string(),
        ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
        ValueRef::Blob(b) => b.iter().map(|x| format!("{x:02x}")).collect(),
    }
}

pub(crate) fn show(v: &Value) -> String {
    match v {
        Value::Null => "NULL".to_owned(),
        Value::Integer(i) => i.to_string(),
        Value::Text(t) => String::from_utf8_lossy(t).into_owned(),
        Value::Blob(b) => b.iter().map(|x| format!("{x:02x}")).collect(),
        other => format!("{other:?}"),
    }
}

const P: &str = "coalesce(p.national_id, '-') || '/' || p.last_name";

/// What the host holds, without its own numbers.
pub(crate) fn content(s: &Site) -> Vec<String> {
    let queries = [
        "SELECT 'doctor', npi, name FROM doctor".to_owned(),
        "SELECT 'term', kind, code, label FROM term".to_owned(),
        "SELECT 'patient', p.national_id, p.last_name, p.first_name, p.phone, d.npi, p.photo FROM patient p LEFT JOIN doctor d USING (doctor_id)".to_owned(),
        format!("SELECT 'visit', {P}, v.day, v.notes, d.npi FROM visit v JOIN patient p USING (patient_id) LEFT JOIN doctor d ON d.doctor_id = v.doctor_id"),
        format!("SELECT 'prescription', {P}, v.day, v.notes, r.drug, r.dose FROM prescription r JOIN visit v USING (visit_id) JOIN patient p USING (patient_id)"),
        format!("SELECT 'allergy', {P}, a.code, a.severity FROM allergy a JOIN patient p USING (patient_id)"),
        format!(
            "SELECT 'link', {P}, coalesce(q.national_id, '-') || '/' || q.last_name, l.relation FROM patient_link l JOIN patient p ON p.patient_id = l.patient_id JOIN patient q ON q.patient_id = l.relative_id"
        ),
        format!("SELECT 'memo', {P}, m.words FROM memo m JOIN patient p USING (patient_id)"),
        format!("SELECT 'invoice', {P}, i.title FROM invoice i JOIN patient p USING (patient_id)"),
        format!("SELECT 'line', {P}, i.title, l.what, l.cents FROM invoice_line l JOIN invoice i USING (invoice_id) JOIN patient p USING (patient_id)"),
        format!("SELECT 'diagnosis', {P}, t.kind, t.code, g.words FROM diagnosis g JOIN term t USING (term_id) JOIN patient p USING (patient_id)"),
    ];
    let mut out = Vec::new();
    for q in queries {
        let mut q = s.conn.prepare(&q).unwrap();
        let n = q.column_count();
        let rows = q.query_map([], |r| (0..n).map(|i| Ok(text(r.get_ref(i)?))).collect::<rusqlite::Result<Vec<String>>>()).unwrap();
        out.extend(rows.map(|r| r.unwrap().join("|")));
    }
    out.sort();
    out
}

/// What is known, record by record, as bytes.
pub(crate) fn known(s: &Site) -> BTreeMap<String, String> {
    let st = s.state();
    let all = st.all(None).unwrap();
    all.into_iter().map(|id| (id.to_string(), String::from_utf8(write_record(&st.load(&id).unwrap().unwrap().known, &st.folder)).unwrap())).collect()
}

/// The files of the folder but for conflict copies.
pub(crate) fn files(s: &Site) -> BTreeMap<String, Vec<u8>> {
    s.folder.all()
}

pub(crate) fn held(s: &Site) -> usize {
    s.state().flagged(state::HELD).unwrap().len()
}

pub(crate) fn waiting(s: &Site) -> usize {
    s.state().flagged(state::WAITING).unwrap().len()
}

/// The first lines in which two lists differ, for people. A line may be there twice.
fn difference<'a>(a: impl Iterator<Item = &'a str>, b: impl Iterator<Item = &'a str>) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.collect(), b.collect());
    let only = |x: &[&str], y: &[&str]| {
        let mut y = y.to_vec();
        let lacks = |l: &&&str| y.iter().position(|o| o == *l).map(|n| y.swap_remove(n)).is_none();
        x.iter().filter(lacks).take(6).map(|l| format!("  {l}\n")).collect::<String>()
    };
    format!("only the first:\n{}only the second:\n{}", only(&a, &b), only(&b, &a))
}

/// Why sites do not hold the same, if they do not.
pub(crate) fn apart(all: &[&Site]) -> Option<String> {
    let first = all.first()?;
    let (k, c) = (known(first), content(first));
    for s in &all[1..] {
        let other = known(s);
        if k != other {
            let ids: BTreeSet<&String> = k.keys().chain(other.keys()).collect();
            let id = ids.into_iter().find(|i| k.get(*i) != other.get(*i))?;
            let (x, y) = (k.get(id).map_or("", String::as_str), other.get(id).map_or("", String::as_str));
            return Some(format!("{} and {} know record {id} differently:\n{}", first.name, s.name, difference(x.lines(), y.lines())));
        }
        if held(first) + held(s) + waiting(first) + waiting(s) == 0 {
            let other = content(s);
            if c != other {
                return Some(format!("the hosts of {} and {} differ:\n{}", first.name, s.name, difference(c.iter().map(String::as_str), other.iter().map(String::as_str))));
            }
        }
    }
    None
}

/// Known states are equal; hosts are equal where nothing is held; the databases are sound.
#[track_caller]
pub(crate) fn converged(all: &[&Site]) {
    if let Some(why) = apart(all) {
        panic!("{why}");
    }
    for s in all {
        assert_eq!(s.get("PRAGMA integrity_check"), "ok", "{}", s.name);
        assert_eq!(s.get("SELECT count(*) FROM pragma_foreign_key_check"), "0", "{}", s.name);
    }
}

/// How much a site has written: files in the folder, changes of rows in the host.
pub(crate) fn work(s: &Site) -> (u64, i64) {
    // Our triggers note every change of a synchronized row, whoever makes it.
    let notes: Option<i64> = s.conn.query_row("SELECT max(rowid) FROM cfs_note", [], |r| r.get(0)).unwrap();
    (s.folder.written().0, notes.unwrap_or(0))
}

/// One more round writes nothing anywhere. Gives who did, if somebody did.
pub(crate) fn restless(all: &mut [&mut Site], cloud: &mut Cloud) -> Option<String> {
    for s in all.iter_mut() {
        let (before, files) = (work(s), s.folder.all());
        s.sync();
        let after = work(s);
        if before != after {
            let now = s.folder.all();
            let which: Vec<&String> = now.iter().filter(|(p, b)| files.get(*p) != Some(*b)).map(|(p, _)| p).collect();
            return Some(format!("{} wrote {} files {which:?} and {} rows", s.name, after.0 - before.0, after.1 - before.1));
        }
        cloud.carry();
    }
    None
}

#[track_caller]
pub(crate) fn quiet(all: &mut [&mut Site], cloud: &mut Cloud) {
    if let Some(who) = restless(all, cloud) {
        panic!("{who}");
    }
}

/// Settles, and checks that all hold the same and nobody writes any more.
#[track_caller]
pub(crate) fn at_rest(all: &mut [&mut Site], cloud: &mut Cloud) {
    at_rest_but_held(all, cloud);
    for s in all.iter() {
        assert_eq!(reasons(s), Vec::<String>::new(), "{} holds something", s.name);
        assert_eq!((held(s), waiting(s)), (0, 0), "{} holds something", s.name);
    }
}

/// Why records are held.
pub(crate) fn reasons(s: &Site) -> Vec<String> {
    let mut q = s.conn.prepare("SELECT reason FROM cfs_record WHERE flags & 1 ORDER BY reason").unwrap();
    let all = q.query_map([], |r| Ok(text(r.get_ref(0)?))).unwrap();
    all.map(|r| r.unwrap()).collect()
}

/// The first record whose file is not what is known of it.
pub(crate) fn misfiled(s: &Site) -> Option<String> {
    known(s).into_iter().find_map(|(id, bytes)| {
        let record = RecordId::parse_str(&id).unwrap();
        let file = s.folder.get(&record_path(&s.known(&record).kind, &record)).unwrap_or_default();
        let file = String::from_utf8_lossy(&file);
        (file != bytes).then(|| format!("the file of {id} is not what is known:\n{}", difference(file.lines(), bytes.lines())))
    })
}

/// The same, while records may be held.
#[track_caller]
pub(crate) fn at_rest_but_held(all: &mut [&mut Site], cloud: &mut Cloud) {
    super::settle(all, cloud);
    let shared: Vec<&Site> = all.iter().map(|s| &**s).collect();
    converged(&shared);
    quiet(all, cloud);
    let shared: Vec<&Site> = all.iter().map(|s| &**s).collect();
    let f = files(shared[0]);
    if let Some(why) = misfiled(shared[0]) {
        panic!("{why}");
    }
    for s in &shared[1..] {
        let other = files(s);
        let paths: BTreeSet<&String> = f.keys().chain(other.keys()).filter(|p| f.get(*p) != other.get(*p)).collect();
        assert!(paths.is_empty(), "the folders of {} and {} differ in {paths:?}", shared[0].name, s.name);
    }
}

/// Both hosts show a patient's column as that.
#[track_caller]
pub(crate) fn both_see(a: &Site, b: &Site, nid: &str, column: &str, value: &str) {
    assert_eq!((a.see(nid, column).as_str(), b.see(nid, column).as_str()), (value, value), "{nid}.{column}");
}
