//! What was typed, by whom, and what may be gone: nothing of the engine is used to know it.
//!
//! Every typed value is a word of its own. A word may be gone only if somebody wrote over it at a
//! host that showed it, or decided against it.

use crate::dsl::Site;
use crate::dsl::check::text;
use cloud_folder_sync::value::MAX_INLINE_BYTES;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct Oracle {
    count: usize,
    /// How many of a thousand words are too long to stand in a record file.
    pub(crate) long: usize,
    /// Every word, and whether a person has let it go.
    pub(crate) typed: BTreeMap<String, bool>,
    /// Words that are not yet part of any sync, by site.
    fresh: BTreeMap<usize, BTreeSet<String>>,
    /// Words of rows that a host deleted since its last sync, by site and table.
    gone: BTreeMap<(usize, String), BTreeSet<String>>,
    /// Words that somebody deleted having seen them.
    pub(crate) deleted: BTreeSet<String>,
}

impl Oracle {
    /// A new word.
    pub(crate) fn word(&mut self, site: usize) -> String {
        self.count += 1;
        let mut w = format!("w{}", self.count);
        // What XML spells otherwise, and what careless readers drop.
        w.push_str(match self.count % 13 {
            3 => "&<\">",
            6 => "\r\n.",
            9 => " ]]>\t ",
            12 => "\r",
            _ => "",
        });
        if self.count * 7919 % 1000 < self.long {
            w.push_str(&"-long".repeat(MAX_INLINE_BYTES / 5 + 1));
        }
        self.typed.insert(w.clone(), false);
        self.fresh.entry(site).or_default().insert(w.clone());
        w
    }

    /// What a host holds from the start was typed as well.
    pub(crate) fn learn(&mut self, s: &Site) {
        for w in words(s, "1") {
            self.typed.insert(w.clone(), false);
            self.fresh.entry(0).or_default().insert(w);
        }
    }

    /// Somebody wrote over what the host showed.
    pub(crate) fn replaced(&mut self, old: &str) {
        if let Some(gone) = self.typed.get_mut(old) {
            *gone = true;
        }
    }

    /// Rows were deleted at a host by its own means: what no sync had seen yet went with them. What
    /// one had seen comes back, unless the host then inserts siblings: that is how it saves.
    pub(crate) fn dropped(&mut self, site: usize, table: &str, shown: &BTreeSet<String>) {
        let fresh = self.fresh.entry(site).or_default();
        let lost: Vec<String> = shown.iter().filter(|w| fresh.remove(*w)).cloned().collect();
        lost.iter().for_each(|w| self.replaced(w));
        self.gone.entry((site, table.to_owned())).or_default().extend(shown.iter().cloned());
    }

    /// A host inserted a row of a table.
    pub(crate) fn inserted(&mut self, site: usize, table: &str) {
        let rewritten = self.gone.remove(&(site, table.to_owned())).unwrap_or_default();
        self.deleted.extend(rewritten);
    }

    /// A person ordered a deletion of what the host shows.
    pub(crate) fn ordered(&mut self, shown: &BTreeSet<String>) {
        self.deleted.extend(shown.iter().cloned());
    }

    /// What a host deleted by its own means does not come back below a row whose deletion is ordered.
    pub(crate) fn ordered_above(&mut self, site: usize, table: &str) {
        let below: &[&str] = match table {
            "patient" => &["visit", "prescription", "allergy", "patient_link", "memo", "invoice", "invoice_line", "diagnosis"],
            "visit" => &["prescription"],
            "invoice" => &["invoice_line"],
            _ => &[],
        };
        let gone: Vec<String> = below.iter().filter_map(|t| self.gone.get(&(site, (*t).to_owned()))).flatten().cloned().collect();
        self.deleted.extend(gone);
    }

    /// The database went back to how it was: what no sync had seen is gone with it.
    pub(crate) fn lost_with_database(&mut self, site: usize) {
        for w in self.fresh.remove(&site).unwrap_or_default() {
            self.replaced(&w);
        }
        self.gone.retain(|(s, _), _| *s != site);
    }

    /// Another computer goes on with a copy of a site's database.
    pub(crate) fn copied(&mut self, from: usize, to: usize) {
        if let Some(f) = self.fresh.get(&from).cloned() {
            self.fresh.insert(to, f);
        }
        let gone: Vec<_> = self.gone.iter().filter(|((s, _), _)| *s == from).map(|((_, t), w)| ((to, t.clone()), w.clone())).collect();
        self.gone.extend(gone);
    }

    /// A word was typed while a sync was under way, which may not have seen it.
    pub(crate) fn typed_since(&mut self, site: usize, word: &str) {
        self.fresh.entry(site).or_default().insert(word.to_owned());
    }

    pub(crate) fn synced(&mut self, site: usize) {
        self.fresh.remove(&site);
        self.gone.retain(|(s, _), _| *s != site);
    }
}

/// The typed columns of every table, with how its rows hang below a patient (`{}`: the condition).
const COLUMNS: [(&str, &str); 9] = [
    ("SELECT last_name, first_name, phone, national_id FROM patient p WHERE {}", "patient"),
    ("SELECT day, notes FROM visit JOIN patient p USING (patient_id) WHERE {}", "visit"),
    ("SELECT drug, dose FROM prescription JOIN visit USING (visit_id) JOIN patient p USING (patient_id) WHERE {}", "prescription"),
    ("SELECT code, severity FROM allergy JOIN patient p USING (patient_id) WHERE {}", "allergy"),
    ("SELECT relation FROM patient_link l JOIN patient p ON p.patient_id = l.patient_id WHERE {}", "link"),
    ("SELECT words FROM memo JOIN patient p USING (patient_id) WHERE {}", "memo"),
    ("SELECT title FROM invoice JOIN patient p USING (patient_id) WHERE {}", "invoice"),
    ("SELECT what, cents FROM invoice_line JOIN invoice USING (invoice_id) JOIN patient p USING (patient_id) WHERE {}", "line"),
    ("SELECT words FROM diagnosis JOIN patient p USING (patient_id) WHERE {}", "diagnosis"),
];

/// Every word below the patients that a condition names.
pub(crate) fn words(s: &Site, condition: &str) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = COLUMNS.iter().flat_map(|(sql, _)| list(s, &sql.replace("{}", condition))).collect();
    if s.mapping.tables.iter().any(|t| t.column("email").is_some()) {
        all.extend(list(s, &format!("SELECT email FROM patient p WHERE {condition}")));
    }
    all
}

/// Every value that a query gives.
pub(crate) fn list(s: &Site, sql: &str) -> BTreeSet<String> {
    let mut q = s.conn.prepare_cached(sql).unwrap();
    let n = q.column_count();
    let rows = q.query_map([], |r| (0..n).map(|i| Ok(text(r.get_ref(i)?))).collect::<rusqlite::Result<Vec<String>>>()).unwrap();
    rows.flat_map(|r| r.unwrap()).filter(|w| w != "NULL").collect()
}
