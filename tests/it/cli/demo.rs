//! `cfs demo`: runs end to end, and leaves what it says.

use super::cfs;
use rusqlite::Connection;
use std::path::Path;

/// Every patient with what hangs below, in words that do not depend on local keys.
fn charts(db: &Path) -> Vec<String> {
    let conn = Connection::open(db).expect("opens");
    let sql = "SELECT p.last_name || '|' || coalesce(p.national_id, '') || '|' || coalesce(p.phone, '') || '|' || coalesce(p.address, '') || '|' || coalesce(p.blood_group, '') || '|' || coalesce(d.licence, '') || '|' ||
        (SELECT coalesce(group_concat(x, ';'), '') FROM (SELECT v.visit_date || v.reason || coalesce(g.code, '') || coalesce(r.drug, '') AS x FROM visit v LEFT JOIN diagnosis di ON di.visit_id = v.id LEFT JOIN icd_code g ON g.id = di.icd_id LEFT JOIN prescription r ON r.visit_id = v.id WHERE v.patient_id = p.id ORDER BY 1))
        FROM patient p LEFT JOIN doctor d ON d.id = p.gp_id ORDER BY 1";
    let mut q = conn.prepare(sql).expect("reads");
    let rows = q.query_map([], |r| r.get(0)).expect("reads");
    rows.collect::<Result<_, _>>().expect("reads")
}

#[test]
fn two_clinics_agree_at_the_end() {
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let out = cfs(tmp.path(), &["demo"]).ended(0);
    for words in [
        "three people are at both clinics",
        "Both live",
        "superseded",
        "conflict file, merged it and removed it",
        "DELETE in the application comes back",
        "trash restore",
        "0 differences",
        "What to look at next",
    ] {
        assert!(out.contains(words) || out.replace("\n   ", " ").contains(words), "{words}: {out}");
    }
    assert!(out.lines().filter(|l| !l.contains(&tmp.path().display().to_string())).all(|l| l.chars().count() <= 80), "{out}");
    let dir = tmp.path().join("cfs-demo");
    let (north, south) = (charts(&dir.join("north/clinic.db")), charts(&dir.join("south/clinic.db")));
    assert_eq!(north.len(), 21);
    assert_eq!(north, south);
    // The commands it names work.
    for line in out.lines().filter_map(|l| l.trim().strip_prefix("cfs ")) {
        let args: Vec<&str> = line.split(" && ").next().unwrap_or_default().split(' ').collect();
        assert_eq!(cfs(tmp.path(), &args).code, 0, "{line}");
    }
    assert!(cfs(tmp.path(), &["demo"]).refused(2).contains("is not empty"));
}

#[test]
fn the_story_as_json() {
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let told = cfs(tmp.path(), &["demo", "a b", "--json"]).json(0);
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(9));
    assert!(told["next"][0]["command"].as_str().is_some_and(|c| c.contains(if cfg!(windows) { '"' } else { '\'' })));
}
