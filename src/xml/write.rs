//! The canonical writer of records and deltas.

use crate::id::{SiteId, Uuid};
use crate::record::{Delta, Entry, Extra, ExtraKey, FieldKey, Record, Row, RowKey, SameAs, Tombstone, Unknown};
use crate::stamp::Stamp;
use crate::value::Value;
use crate::version::Version;
use crate::xml::text::{Out, number};
use crate::xml::{Sites, hex, seal};
use std::collections::{BTreeMap, BTreeSet};

/// A record's state as the bytes of its file.
pub fn write_record(r: &Record, folder: &Uuid) -> Vec<u8> {
    let mut all = BTreeSet::new();
    sites_of(r, &mut all);
    let sites = Sites::new(all);
    let mut o = Out::document("record", folder);
    o.name("type", &r.kind).uuid("id", &r.id);
    unknown(&mut o, &r.unknown);
    o.raw(">\n");
    write_sites(&mut o, &sites);
    write_body(&mut o, r, &sites, 1);
    seal(o.bytes, "record")
}

/// A delta as an element of a segment, with the segment's site numbers.
pub fn write_delta(o: &mut Out, d: &Delta, sites: &Sites) {
    o.open(1, "record").attr("partial", "yes").name("type", &d.part.kind).uuid("id", &d.part.id);
    unknown(o, &d.part.unknown);
    o.raw(">\n");
    o.open(2, "before").raw(">\n");
    version(o, &d.before, sites, 3);
    o.raw("  </before>\n");
    write_body(o, &d.part, sites, 2);
    o.raw(" </record>\n");
}

/// The `<site>` elements at the head of a document.
pub(crate) fn write_sites(o: &mut Out, sites: &Sites) {
    for (i, s) in sites.iter().enumerate() {
        o.open(1, "site").attr("n", &(i + 1).to_string()).uuid("id", s).raw("/>\n");
    }
}

/// Collects every site that occurs in a record.
pub(crate) fn sites_of(r: &Record, all: &mut BTreeSet<SiteId>) {
    all.extend(r.version.0.keys());
    // Mostly one and the same.
    let mut last = None;
    all.extend(r.stamps().map(|s| s.site).filter(|s| last.replace(*s) != Some(*s)));
    for row in r.rows.values() {
        all.extend(row.fields.keys().filter_map(|k| k.place));
        all.extend(row.tombstone.iter().flat_map(|t| t.seen.0.keys()));
    }
}

fn write_body(o: &mut Out, r: &Record, sites: &Sites, depth: usize) {
    version(o, &r.version, sites, depth);
    for (other, (stamp, fact)) in &r.same_as {
        let is = match fact {
            SameAs::Same => "same",
            SameAs::Not => "not",
            SameAs::Undone => "undone",
        };
        o.open(depth, "same-as").uuid("id", other).attr("is", is).stamp(stamp, sites).raw("/>\n");
    }
    if let Some(e) = &r.erased {
        o.open(depth, "erased").stamp(&e.stamp, sites).raw(">\n");
        o.text_element(depth + 1, "by", e.by.as_bytes());
        close(o, depth, "erased");
    }
    for (key, row) in &r.rows {
        write_row(o, key, row, sites, depth);
    }
    extras(o, &r.extras, sites, depth);
}

fn write_row(o: &mut Out, key: &RowKey, row: &Row, sites: &Sites, depth: usize) {
    o.open(depth, "row").name("table", &key.table).uuid("id", &key.id).stamp(&row.stamp, sites);
    unknown(o, &row.unknown);
    o.raw(">\n");
    if let Some(t) = &row.tombstone {
        write_tombstone(o, t, sites, depth + 1);
    }
    for (key, field) in &row.fields {
        for (i, entry) in field.0.iter().rev().enumerate() {
            write_entry(o, if i == 0 { "f" } else { "was" }, key, entry, &row.stamp, sites, depth + 1);
        }
    }
    extras(o, &row.extras, sites, depth + 1);
    close(o, depth, "row");
}

fn write_tombstone(o: &mut Out, t: &Tombstone, sites: &Sites, depth: usize) {
    o.open(depth, "deleted").stamp(&t.stamp, sites);
    if t.bare {
        o.attr("bare", "yes");
    }
    if let Some((record, row)) = &t.moved_to {
        o.uuid("moved-record", record).uuid("moved-row", row);
    }
    unknown(o, &t.unknown);
    o.raw(">\n");
    o.text_element(depth + 1, "by", t.by.as_bytes());
    o.text_element(depth + 1, "why", t.why.as_bytes());
    version(o, &t.seen, sites, depth + 1);
    close(o, depth, "deleted");
}

fn write_entry(o: &mut Out, element: &str, key: &FieldKey, e: &Entry, row: &Stamp, sites: &Sites, depth: usize) {
    o.open(depth, element).name("n", &key.name);
    if let Some(place) = &key.place {
        o.attr("place", &sites.number(place).to_string());
    }
    if e.stamp != *row {
        o.stamp(&e.stamp, sites);
    }
    if !matches!(e.value, Value::Text(_)) {
        o.attr("type", e.value.type_name());
    }
    match &e.value {
        Value::Ref(r) => {
            o.name("table", &r.table);
            if let Some(record) = &r.record {
                o.uuid("record", record);
            }
            if r.owner {
                o.attr("owner", "yes");
            }
        }
        Value::Stored { sha256, size_bytes, .. } => {
            o.attr("sha256", &hex(sha256)).attr("size", &size_bytes.to_string());
        }
        _ => {}
    }
    unknown(o, &e.unknown);
    match &e.value {
        Value::Null | Value::Stored { .. } => o.raw("/>\n"),
        Value::Integer(i) => o.raw(">").raw(&i.to_string()).raw("</").raw(element).raw(">\n"),
        Value::Real(r) => o.raw(">").raw(&number(*r)).raw("</").raw(element).raw(">\n"),
        Value::Text(t) => o.content(t, element),
        Value::Blob(b) if b.is_empty() => o.raw("/>\n"),
        Value::Blob(b) => o.raw(">").base64(b).raw("</").raw(element).raw(">\n"),
        Value::Ref(r) => o.raw(">").raw(&r.row.to_string()).raw("</").raw(element).raw(">\n"),
    };
}

fn close(o: &mut Out, depth: usize, name: &str) {
    const BLANKS: &str = "                ";
    o.raw(&BLANKS[..depth.min(BLANKS.len())]).raw("</").raw(name).raw(">\n");
}

fn version(o: &mut Out, v: &Version, sites: &Sites, depth: usize) {
    for (site, time) in &v.0 {
        o.open(depth, "seen").stamp(&Stamp { time: *time, site: *site }, sites).raw("/>\n");
    }
}

fn unknown(o: &mut Out, u: &Unknown) {
    for (k, v) in u {
        o.attr(k, v);
    }
}

/// Writes elements of a later format: the stamp's attributes stand first, with this file's numbers.
fn extras(o: &mut Out, extras: &BTreeMap<ExtraKey, Extra>, sites: &Sites, depth: usize) {
    for extra in extras.values() {
        let xml = String::from_utf8_lossy(&extra.xml);
        let name_end = xml.find([' ', '\n', '\t', '>', '/']).unwrap_or(xml.len());
        let (head, tail) = xml.split_at(name_end);
        o.open(depth, head.trim_start_matches('<'));
        if let Some(s) = &extra.stamp {
            o.stamp(s, sites);
        }
        o.raw(tail).raw("\n");
    }
}
