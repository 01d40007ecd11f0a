//! What hosts and people do.

use super::Storm;
use super::laws::shown;
use super::oracle::{list, words};
use cloud_folder_sync::record::{FieldKey, RowKey};
use cloud_folder_sync::sync::Order;
use cloud_folder_sync::value::Value;
use std::collections::BTreeSet;

/// Tables with columns to type into, and their keys.
pub(super) const TYPED: [(&str, &str, &[&str]); 8] = [
    ("patient", "patient_id", &["last_name", "first_name", "phone"]),
    ("visit", "visit_id", &["day", "notes"]),
    ("prescription", "prescription_id", &["drug", "dose"]),
    ("allergy", "allergy_id", &["severity"]),
    ("memo", "rowid", &["words"]),
    ("invoice", "invoice_id", &["title"]),
    ("invoice_line", "rowid", &["what", "cents"]),
    ("diagnosis", "diagnosis_id", &["words"]),
];

/// A child's words and those below it, by the child's key.
fn below(table: &str, key: i64) -> Vec<String> {
    match table {
        "visit" => vec![format!("SELECT day, notes FROM visit WHERE visit_id = {key}"), format!("SELECT drug, dose FROM prescription WHERE visit_id = {key}")],
        "invoice" => vec![format!("SELECT title FROM invoice WHERE invoice_id = {key}"), format!("SELECT what, cents FROM invoice_line WHERE invoice_id = {key}")],
        "prescription" => vec![format!("SELECT drug, dose FROM prescription WHERE prescription_id = {key}")],
        "allergy" => vec![format!("SELECT code, severity FROM allergy WHERE allergy_id = {key}")],
        "diagnosis" => vec![format!("SELECT words FROM diagnosis WHERE diagnosis_id = {key}")],
        "memo" => vec![format!("SELECT words FROM memo WHERE rowid = {key}")],
        "invoice_line" => vec![format!("SELECT what, cents FROM invoice_line WHERE rowid = {key}")],
        _ => Vec::new(),
    }
}

impl Storm {
    /// A row's key, by chance.
    pub(crate) fn any(&mut self, i: usize, table: &str, key: &str) -> Option<i64> {
        let n: i64 = self.sites[i].conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap();
        if n == 0 {
            return None;
        }
        let at = self.dice.below(usize::try_from(n).unwrap());
        self.sites[i].conn.query_row(&format!("SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {at}"), [], |r| r.get(0)).ok()
    }

    /// Runs the host's SQL; a host that refuses has typed nothing.
    pub(crate) fn host(&mut self, i: usize, sql: &str) -> bool {
        let done = self.sites[i].try_sql(sql).is_ok();
        if done {
            for (table, _, _) in TYPED.iter().filter(|(t, _, _)| sql.contains(&format!("INTO {t} "))) {
                self.oracle.inserted(i, table);
            }
        }
        let name = self.sites[i].name.clone();
        self.say(format_args!("{name}: {sql}{}", if done { "" } else { " -- refused" }));
        done
    }

    /// What a row shows, and what hangs below it.
    pub(super) fn shown(&self, i: usize, table: &str, key: i64) -> BTreeSet<String> {
        if table == "patient" {
            return words(&self.sites[i], &format!("p.patient_id = {key}"));
        }
        below(table, key).iter().flat_map(|q| list(&self.sites[i], q)).collect()
    }

    /// A deletion that was asked for is made at the sync, having seen what the host shows then.
    pub(crate) fn about_to_delete(&mut self, i: usize) {
        let erased: Vec<_> = self.sites[i].orders.iter().filter(|(_, o)| matches!(o, Order::Erase { .. })).map(|(id, _)| *id).collect();
        for id in erased {
            // Who erases means all that the host shows.
            let key = self.sites[i].state().root_of(&id).unwrap().and_then(|(_, key, _)| key);
            if let Some([Value::Integer(p)]) = key.as_deref() {
                let mut shown = words(&self.sites[i], &format!("p.patient_id = {p}"));
                shown.extend(list(&self.sites[i], &format!("SELECT relation FROM patient_link WHERE relative_id = {p}")));
                self.oracle.ordered(&shown);
                shown.iter().for_each(|w| self.oracle.replaced(w));
            }
        }
        let asked: Vec<(String, i64)> = {
            let mut q = self.sites[i].conn.prepare_cached("SELECT table_name, key FROM cfs_delete").unwrap();
            let rows = q.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
            rows.map(|r| r.unwrap()).collect()
        };
        for (table, key) in asked {
            let mut shown = self.shown(i, &table, key);
            if table == "patient" {
                // The host's CASCADE takes these away before the eyes of who deletes.
                shown.extend(list(&self.sites[i], &format!("SELECT relation FROM patient_link WHERE relative_id = {key}")));
                shown.extend(self.email_not_shown(i, key));
            }
            self.oracle.ordered(&shown);
            self.oracle.ordered_above(i, &table);
        }
    }

    /// Who deletes a chart deletes all of it that has come, columns that only newer hosts have among them.
    fn email_not_shown(&self, i: usize, key: i64) -> BTreeSet<String> {
        let s = &self.sites[i];
        let Some(id) = s.state().by_root_key("patient", &vec![Value::Integer(key)]).unwrap() else { return BTreeSet::new() };
        let email = s.known(&id).rows.get(&RowKey::new("patient", id)).and_then(|r| r.get("email").cloned());
        email.iter().filter(|v| !v.is_null()).map(|v| shown(s, v)).collect()
    }

    pub(crate) fn act(&mut self, i: usize) {
        if self.dice.chance(self.rates.order) {
            return self.order(i);
        }
        if self.dice.chance(self.rates.odd) {
            return self.odd(i);
        }
        match self.dice.below(10) {
            0..=4 => self.edit(i),
            5 => self.new_patient(i),
            _ => self.new_child(i),
        }
    }

    fn edit(&mut self, i: usize) {
        if self.swarm.any() && self.dice.chance(150) && self.type_email(i) {
            return;
        }
        let (table, key, columns) = TYPED[self.dice.below(TYPED.len())];
        let Some(at) = self.any(i, table, key) else { return };
        let column = columns[self.dice.below(columns.len())];
        self.write_over(i, table, key, at, column);
    }

    /// Somebody writes a new word over what a column shows.
    pub(crate) fn write_over(&mut self, i: usize, table: &str, key: &str, at: i64, column: &str) {
        let old = self.sites[i].get(&format!("SELECT {column} FROM {table} WHERE {key} = {at}"));
        let new = self.oracle.word(i);
        if self.host(i, &format!("UPDATE {table} SET {column} = '{new}' WHERE {key} = {at}")) {
            self.oracle.replaced(&old);
        } else {
            self.oracle.replaced(&new);
        }
    }

    pub(super) fn new_patient(&mut self, i: usize) {
        // Sometimes a person who is known elsewhere as well.
        let nid = if self.dice.chance(300) { format!("'n{}'", self.dice.below(8)) } else { "NULL".to_owned() };
        let name = self.oracle.word(i);
        if self.host(i, &format!("INSERT INTO patient (file_no, national_id, last_name) SELECT coalesce(max(file_no), 0) + 1, {nid}, '{name}' FROM patient")) {
            self.oracle.typed.entry(nid.trim_matches('\'').to_owned()).or_insert(true);
        } else {
            self.oracle.replaced(&name);
        }
    }

    fn new_child(&mut self, i: usize) {
        let Some(p) = self.any(i, "patient", "patient_id") else { return };
        let (x, y) = (self.oracle.word(i), self.oracle.word(i));
        let sql = match self.dice.below(8) {
            0 => format!("INSERT INTO visit (patient_id, day, notes) VALUES ({p}, '{x}', '{y}')"),
            1 => match self.any(i, "visit", "visit_id") {
                Some(v) => format!("INSERT INTO prescription (visit_id, drug, dose) VALUES ({v}, '{x}', '{y}')"),
                None => String::new(),
            },
            2 => format!("INSERT INTO allergy (patient_id, code, severity) VALUES ({p}, '{x}', '{y}')"),
            3 => format!("INSERT INTO memo VALUES ({p}, '{x}')"),
            4 => format!("INSERT INTO invoice (patient_id, title) VALUES ({p}, '{x}')"),
            5 => match self.any(i, "invoice", "invoice_id") {
                Some(v) => format!(
                    "INSERT INTO invoice_line (invoice_id, line_no, what, cents) SELECT {v}, coalesce(max(line_no), 0) + 1, '{x}', '{y}' FROM invoice_line WHERE invoice_id = {v}"
                ),
                None => String::new(),
            },
            6 => match self.any(i, "patient", "patient_id") {
                Some(q) if q != p => format!("INSERT INTO patient_link VALUES ({p}, {q}, '{x}')"),
                _ => String::new(),
            },
            _ => format!(
                "INSERT OR IGNORE INTO term (kind, code) VALUES ('icd', 'c{0}'); INSERT INTO diagnosis (patient_id, term_id, words) SELECT {p}, term_id, '{x}' FROM term WHERE code = 'c{0}'",
                self.dice.below(4)
            ),
        };
        let done = !sql.is_empty() && self.host(i, &sql);
        // What the statement did not use, or the host refused, nobody typed.
        for w in [x, y] {
            if !done || !sql.contains(&format!("'{w}'")) {
                self.oracle.replaced(&w);
            }
        }
    }

    /// How hosts save, and what they do besides.
    fn odd(&mut self, i: usize) {
        match self.dice.below(9) {
            0 => {
                // An ORM writes every column as it was.
                self.host(i, "UPDATE visit SET day = day, notes = notes, patient_id = patient_id; UPDATE patient SET phone = phone, last_name = last_name");
            }
            1 => {
                let (table, key, _) = TYPED[1 + self.dice.below(TYPED.len() - 1)];
                if self.sites[i].mapping.scan {
                    // Who compares takes a row that went beside one that came for rewritten (decision 0023).
                    self.sync(i);
                }
                let Some(at) = self.any(i, table, key) else { return };
                let shown = self.shown(i, table, at);
                if self.host(i, &format!("DELETE FROM {table} WHERE {key} = {at}")) {
                    self.oracle.dropped(i, table, &shown);
                }
            }
            2 => {
                if let Some(p) = self.any(i, "patient", "patient_id") {
                    self.host_deletes(i, p);
                }
            }
            3 => {
                // A visit goes to another patient.
                let (Some(v), Some(p)) = (self.any(i, "visit", "visit_id"), self.any(i, "patient", "patient_id")) else { return };
                let shown = self.shown(i, "visit", v);
                if self.host(i, &format!("UPDATE visit SET patient_id = {p} WHERE visit_id = {v}")) {
                    self.oracle.ordered(&shown);
                }
            }
            4 => {
                let (Some(r), Some(v)) = (self.any(i, "prescription", "prescription_id"), self.any(i, "visit", "visit_id")) else { return };
                let shown = self.shown(i, "prescription", r);
                if self.host(i, &format!("UPDATE prescription SET visit_id = {v} WHERE prescription_id = {r}")) {
                    self.oracle.ordered(&shown);
                }
            }
            5 => {
                // REPLACE of a line, one column changed.
                let Some(r) = self.any(i, "prescription", "prescription_id") else { return };
                let old = self.sites[i].get(&format!("SELECT dose FROM prescription WHERE prescription_id = {r}"));
                let w = self.oracle.word(i);
                if self.host(i, &format!("REPLACE INTO prescription (prescription_id, visit_id, drug, dose) SELECT prescription_id, visit_id, drug, '{w}' FROM prescription WHERE prescription_id = {r}")) {
                    self.oracle.replaced(&old);
                }
            }
            6 => {
                // The form of a visit is saved anew: all its lines go and come, one of them changed.
                let Some(v) = self.any(i, "visit", "visit_id") else { return };
                let shown = list(&self.sites[i], &format!("SELECT drug, dose FROM prescription WHERE visit_id = {v}"));
                let w = self.oracle.word(i);
                let first: String = self.sites[i].get(&format!("SELECT coalesce(min(prescription_id), 0) FROM prescription WHERE visit_id = {v}"));
                let old = self.sites[i].get(&format!("SELECT dose FROM prescription WHERE prescription_id = {first}"));
                let done = self.host(i, &format!("CREATE TEMP TABLE form AS SELECT visit_id, drug, CASE WHEN prescription_id = {first} THEN '{w}' ELSE dose END AS dose FROM prescription WHERE visit_id = {v}; DELETE FROM prescription WHERE visit_id = {v}; INSERT INTO prescription (visit_id, drug, dose) SELECT * FROM form; DROP TABLE form"));
                if !done || first == "0" {
                    self.oracle.replaced(&w);
                } else {
                    // What no sync had seen of the old lines is in the new ones, but for the one written over.
                    self.oracle.replaced(&old);
                    self.oracle.ordered(&shown);
                }
            }
            7 => {
                // The same number for two people, sooner or later.
                let Some(p) = self.any(i, "patient", "patient_id") else { return };
                let nid = format!("n{}", self.dice.below(8));
                let old = self.sites[i].get(&format!("SELECT national_id FROM patient WHERE patient_id = {p}"));
                if self.host(i, &format!("UPDATE patient SET national_id = '{nid}' WHERE patient_id = {p}")) {
                    self.oracle.replaced(&old);
                    self.oracle.typed.entry(nid).or_insert(true);
                }
            }
            _ => {
                let r = self.sites[i].conn.execute_batch("VACUUM");
                let name = self.sites[i].name.clone();
                self.say(format_args!("{name}: VACUUM {r:?}"));
            }
        }
    }

    /// The host deletes a patient by its own means, and with its CASCADE what points there.
    pub(super) fn host_deletes(&mut self, i: usize, p: i64) {
        let mut shown = self.shown(i, "patient", p);
        shown.extend(list(&self.sites[i], &format!("SELECT relation FROM patient_link WHERE relative_id = {p}")));
        if self.host(i, &format!("DELETE FROM patient WHERE patient_id = {p}")) {
            self.oracle.dropped(i, "patient", &shown);
        }
    }

    /// Whoever asks sees what is there now; the host may delete it by its own means before the sync.
    pub(super) fn ask_to_delete(&mut self, i: usize, table: &str, key: i64) {
        self.host(i, &format!("INSERT INTO cfs_delete (table_name, key, reason) VALUES ('{table}', {key}, 'storm')"));
        let shown = self.shown(i, table, key);
        self.oracle.ordered(&shown);
        self.oracle.ordered_above(i, table);
    }

    /// What people order.
    fn order(&mut self, i: usize) {
        let Some(p) = self.any(i, "patient", "patient_id") else { return };
        let name = self.sites[i].name.clone();
        match self.dice.below(5) {
            0 => {
                self.ask_to_delete(i, "patient", p);
            }
            1 | 2 => {
                let table = ["visit", "prescription", "allergy", "diagnosis", "invoice"][self.dice.below(5)];
                let Some(at) = self.any(i, table, &format!("{table}_id")) else { return };
                self.ask_to_delete(i, table, at);
            }
            3 => {
                let deleted = self.sites[i].state().flagged(cloud_folder_sync::state::DELETED).unwrap();
                let Some(id) = deleted.get(self.dice.below(deleted.len())).copied() else { return };
                if self.sites[i].known(&id).kind == "patient" {
                    self.sites[i].restore(id);
                    self.say(format_args!("{name}: restore {id}"));
                }
            }
            _ => {
                // A person decides a field of a patient: one of its values stays.
                let Some(id) = self.sites[i].state().by_root_key("patient", &vec![Value::Integer(p)]).unwrap() else { return };
                let known = self.sites[i].known(&id);
                for column in ["phone", "last_name", "first_name"] {
                    let Some(field) = known.root().and_then(|r| r.fields.get(&FieldKey::shared(column))) else { continue };
                    let values: Vec<Value> = field.0.iter().map(|e| e.value.clone()).filter(|v| !v.is_null()).collect();
                    if field.0.len() < 2 || values.is_empty() {
                        continue;
                    }
                    let keep = values[self.dice.below(values.len())].clone();
                    for v in values.iter().filter(|v| **v != keep) {
                        let gone = shown(&self.sites[i], v);
                        self.oracle.replaced(&gone);
                    }
                    let kept = shown(&self.sites[i], &keep);
                    self.say(format_args!("{name}: decide {column} = {kept}"));
                    self.sites[i].order(id, Order::Decide { row: RowKey::new("patient", id), field: FieldKey::shared(column), value: keep, shown: None });
                    return;
                }
            }
        }
    }
}
