//! The strict reader of records and deltas.

use crate::id::Uuid;
use crate::record::{Delta, Entry, Erasure, Extra, ExtraKey, Field, FieldKey, Record, Row, RowKey, SameAs, Tombstone};
use crate::value::{Reference, Value};
use crate::version::Version;
use crate::xml::pull::{Bad, Pull, Tag};
use crate::xml::text::{NAMESPACE, unnumber};
use crate::xml::{Error, FORMAT, Sites, unhex, unseal};
use std::collections::BTreeMap;

/// Reads a record file: checks its hash, its format, its folder, then its content.
pub fn read_record(bytes: &[u8], folder: &Uuid) -> Result<Record, Error> {
    let (text, _) = unseal(bytes, "record")?;
    let (mut p, mut root) = Pull::document(text, "record")?;
    head(&p, &mut root, folder)?;
    let kind = p.need(&mut root, "type")?;
    let id = p.uuid(&mut root, "id")?;
    let mut r = Record::new(kind, id);
    r.unknown = root.rest();
    let sites = p.sites()?;
    body(&mut p, &mut r, &sites, None)?;
    p.end()?;
    Ok(r)
}

/// Checks what every document's root says: namespace, format, folder.
pub(crate) fn head(p: &Pull<'_>, root: &mut Tag, folder: &Uuid) -> Result<(), Error> {
    if p.need(root, "xmlns")? != NAMESPACE {
        return Err(p.bad("another namespace").into());
    }
    let format = p.whole(root, "format")?;
    if format != u64::from(FORMAT) {
        return Err(Error::TooNew(u32::try_from(format).unwrap_or(u32::MAX)));
    }
    let of = p.uuid(root, "folder")?;
    if of != *folder {
        return Err(Error::OtherFolder(of));
    }
    Ok(())
}

/// Reads a delta whose start tag was read.
pub fn read_delta(p: &mut Pull<'_>, mut tag: Tag, sites: &Sites) -> Result<Delta, Bad> {
    if !p.yes(&mut tag, "partial")? {
        return Err(p.bad("a whole record in a segment"));
    }
    let kind = p.need(&mut tag, "type")?;
    let id = p.uuid(&mut tag, "id")?;
    let mut part = Record::new(kind, id);
    part.unknown = tag.rest();
    let mut before = Version::default();
    body(p, &mut part, sites, Some(&mut before))?;
    Ok(Delta { before, part })
}

fn body(p: &mut Pull<'_>, r: &mut Record, sites: &Sites, mut before: Option<&mut Version>) -> Result<(), Bad> {
    while let Some(mut tag) = p.child()? {
        match tag.name.as_str() {
            "seen" => {
                r.version.add(p.need_stamp(&mut tag, sites)?);
                p.empty()?;
            }
            "before" if before.is_some() => {
                while let Some(mut seen) = p.child()? {
                    if let Some(b) = before.as_deref_mut() {
                        b.add(p.need_stamp(&mut seen, sites)?);
                    }
                    p.empty()?;
                }
            }
            "same-as" => {
                let id = p.uuid(&mut tag, "id")?;
                let fact = match p.need(&mut tag, "is")?.as_str() {
                    "same" => SameAs::Same,
                    "not" => SameAs::Not,
                    "undone" => SameAs::Undone,
                    _ => return Err(p.bad("an unknown `is`")),
                };
                r.same_as.insert(id, (p.need_stamp(&mut tag, sites)?, fact));
                p.empty()?;
            }
            "erased" => {
                let stamp = p.need_stamp(&mut tag, sites)?;
                let mut by = String::new();
                while let Some(mut t) = p.child()? {
                    by = string(p, &mut t)?;
                }
                r.erased = Some(Erasure { stamp, by });
            }
            "row" => {
                let (key, row) = read_row(p, tag, sites)?;
                if r.rows.insert(key, row).is_some() {
                    return Err(p.bad("a row that stands twice"));
                }
            }
            "sha256" => {
                p.text()?;
            }
            _ => {
                let (key, extra) = read_extra(p, tag, sites)?;
                r.extras.insert(key, extra);
            }
        }
    }
    Ok(())
}

fn string(p: &mut Pull<'_>, tag: &mut Tag) -> Result<String, Bad> {
    let bytes = p.bytes(tag)?;
    String::from_utf8(bytes).map_err(|_| p.bad("not UTF-8"))
}

fn read_row(p: &mut Pull<'_>, mut tag: Tag, sites: &Sites) -> Result<(RowKey, Row), Bad> {
    let table = p.need(&mut tag, "table")?;
    let key = RowKey::new(table, p.uuid(&mut tag, "id")?);
    let mut row = Row::new(p.need_stamp(&mut tag, sites)?);
    row.unknown = tag.rest();
    while let Some(mut tag) = p.child()? {
        match tag.name.as_str() {
            "deleted" => {
                if row.tombstone.is_some() {
                    return Err(p.bad("two tombstones on one row"));
                }
                row.tombstone = Some(read_tombstone(p, tag, sites)?);
            }
            "f" | "was" => {
                let current = tag.name == "f";
                let name = p.need(&mut tag, "n")?;
                let place = match tag.take("place") {
                    None => None,
                    Some(n) => Some(sites.site(&n).ok_or_else(|| p.bad("an unknown site number"))?),
                };
                let stamp = p.stamp(&mut tag, sites)?.unwrap_or(row.stamp);
                let (value, unknown) = read_value(p, tag)?;
                let field = row.fields.entry(FieldKey { name, place }).or_insert_with(Field::default);
                let entry = Entry { stamp, value, unknown };
                // The current value stands first; the superseded ones follow it.
                if field.0.is_empty() != current || !field.0.insert(entry) {
                    return Err(p.bad("a field that stands twice"));
                }
            }
            _ => {
                let (key, extra) = read_extra(p, tag, sites)?;
                row.extras.insert(key, extra);
            }
        }
    }
    Ok((key, row))
}

fn read_tombstone(p: &mut Pull<'_>, mut tag: Tag, sites: &Sites) -> Result<Tombstone, Bad> {
    let stamp = p.need_stamp(&mut tag, sites)?;
    let bare = p.yes(&mut tag, "bare")?;
    let moved_to = match tag.take("moved-record") {
        None => None,
        Some(record) => Some((Uuid::parse_str(&record).map_err(|_| p.bad("`moved-record` is not a UUID"))?, p.uuid(&mut tag, "moved-row")?)),
    };
    let mut t = Tombstone { stamp, by: String::new(), why: String::new(), moved_to, seen: Version::default(), bare, unknown: tag.rest() };
    while let Some(mut tag) = p.child()? {
        match tag.name.as_str() {
            "by" => t.by = string(p, &mut tag)?,
            "why" => t.why = string(p, &mut tag)?,
            "seen" => {
                t.seen.add(p.need_stamp(&mut tag, sites)?);
                p.empty()?;
            }
            _ => return Err(p.bad("an unknown element in a tombstone")),
        }
    }
    Ok(t)
}

fn read_value(p: &mut Pull<'_>, mut tag: Tag) -> Result<(Value, BTreeMap<String, String>), Bad> {
    let kind = tag.take("type");
    let value = match kind.as_deref() {
        None => Value::Text(p.bytes(&mut tag)?),
        Some("null") => {
            p.empty()?;
            Value::Null
        }
        Some("integer") => {
            let s = p.text()?;
            Value::Integer(s.parse().ok().filter(|i: &i64| i.to_string() == s).ok_or_else(|| p.bad("not an integer"))?)
        }
        Some("real") => Value::Real(unnumber(&p.text()?).ok_or_else(|| p.bad("not a real"))?),
        Some("blob") => match tag.take("sha256") {
            Some(hash) => {
                let sha256 = unhex(&hash).and_then(|h| h.try_into().ok()).ok_or_else(|| p.bad("not a SHA-256"))?;
                let size_bytes = p.whole(&mut tag, "size")?;
                p.empty()?;
                Value::Stored { sha256, size_bytes }
            }
            None => {
                let text = p.text()?;
                Value::Blob(crate::xml::text::unbase64(&text).ok_or_else(|| p.bad("not base64"))?)
            }
        },
        Some("ref") => {
            let table = p.need(&mut tag, "table")?;
            let owner = p.yes(&mut tag, "owner")?;
            let uuid = |p: &Pull<'_>, s: &str| Uuid::parse_str(s).ok().filter(|u| u.to_string() == s).ok_or_else(|| p.bad("not a UUID"));
            let record = tag.take("record").map(|s| uuid(p, &s)).transpose()?;
            let text = p.text()?;
            Value::Ref(Reference { table, row: uuid(p, &text)?, record, owner })
        }
        Some(_) => return Err(p.bad("an unknown type")),
    };
    Ok((value, tag.rest()))
}

/// Reads an element of a later format. Its `s` and `t`, if it has them, stand first.
fn read_extra(p: &mut Pull<'_>, mut tag: Tag, sites: &Sites) -> Result<(ExtraKey, Extra), Bad> {
    let stamp = p.stamp(&mut tag, sites)?;
    let source = p.skip(&tag)?;
    let name = tag.name.clone();
    let key = tag.take("key").unwrap_or_default();
    let prefix = name.split_once(':').map_or("xmlns".to_owned(), |(p, _)| format!("xmlns:{p}"));
    let namespace = tag.take(&prefix).unwrap_or_else(|| NAMESPACE.to_owned());
    let xml = match stamp {
        None => source.to_owned(),
        // ` s="…" t="…"` directly after the name: four quotes end it.
        Some(_) => {
            let head = name.len() + 1;
            let rest = source.get(head..).unwrap_or_default();
            if !rest.starts_with(" s=\"") {
                return Err(p.bad("a stamp that does not stand first"));
            }
            let cut = rest.match_indices('"').nth(3).map(|(i, _)| i + 1).ok_or_else(|| p.bad("not a stamp"))?;
            format!("<{name}{}", rest.get(cut..).unwrap_or_default())
        }
    };
    Ok(((namespace, name, key), Extra { stamp, xml: xml.into_bytes() }))
}
