//! The strict reader of records and deltas.

use crate::id::Uuid;
use crate::record::{Delta, Entry, Erasure, Extra, ExtraKey, FieldKey, Record, Row, RowKey, SameAs, Tombstone};
use crate::value::{MAX_INLINE_BYTES, Reference, Value};
use crate::version::Version;
use crate::xml::pull::{Bad, Pull, Tag};
use crate::xml::text::{NAMESPACE, unnumber};
use crate::xml::{Error, FORMAT, Sites, own, unhex, unseal};
use std::collections::BTreeMap;

/// Reads a record file: checks its hash, its format, its folder, then its content.
pub fn read_record(bytes: &[u8], folder: &Uuid) -> Result<Record, Error> {
    Ok(read_hand(bytes, folder)?.0)
}

/// Reads a record file; says whether it is known to be exactly what [`super::write_record`] writes of it.
pub fn read_hand(bytes: &[u8], folder: &Uuid) -> Result<(Record, bool), Error> {
    let (text, _) = unseal(bytes, "record")?;
    match own::read(text, folder) {
        Some(r) => Ok((r, true)),
        None => Ok((strict(text, folder)?, false)),
    }
}

/// Reads a record file with the strict reader alone, whoever wrote it.
pub fn read_foreign(bytes: &[u8], folder: &Uuid) -> Result<Record, Error> {
    strict(unseal(bytes, "record")?.0, folder)
}

fn strict(text: &str, folder: &Uuid) -> Result<Record, Error> {
    let (mut p, mut root) = Pull::document(text, "record")?;
    head(&p, &mut root, folder)?;
    let kind = p.name(&mut root, "type")?;
    let id = p.uuid(&mut root, "id")?;
    let mut r = Record::new(kind, id);
    p.not_here(&root, &["partial"])?;
    r.unknown = p.unknown(root)?;
    let sites = p.sites()?;
    body(&mut p, &mut r, &sites, None)?;
    p.end()?;
    Ok(r)
}

/// Checks what every document's root says: namespace, format, folder.
pub(crate) fn head<'a>(p: &Pull<'a>, root: &mut Tag<'a>, folder: &Uuid) -> Result<(), Error> {
    let of = format_and_folder(p, root)?;
    if of != *folder {
        return Err(Error::OtherFolder(of));
    }
    Ok(())
}

/// Checks a root's namespace and format; gives the folder it names.
pub(crate) fn format_and_folder<'a>(p: &Pull<'a>, root: &mut Tag<'a>) -> Result<Uuid, Error> {
    if p.need(root, "xmlns")? != NAMESPACE {
        return Err(p.bad("another namespace").into());
    }
    match p.whole(root, "format")? {
        0 => return Err(p.bad("format 0").into()),
        f if f == u64::from(FORMAT) => {}
        newer => return Err(Error::TooNew(u32::try_from(newer).unwrap_or(u32::MAX))),
    }
    Ok(p.uuid(root, "folder")?)
}

/// Reads a delta whose start tag was read.
pub fn read_delta<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>, sites: &Sites) -> Result<Delta, Bad> {
    if !p.yes(&mut tag, "partial")? {
        return Err(p.bad("a whole record in a segment"));
    }
    let kind = p.name(&mut tag, "type")?;
    let id = p.uuid(&mut tag, "id")?;
    let mut part = Record::new(kind, id);
    p.not_here(&tag, &["xmlns", "format", "folder"])?;
    part.unknown = p.unknown(tag)?;
    let mut before = Version::default();
    body(p, &mut part, sites, Some(&mut before))?;
    Ok(Delta { before, part })
}

/// Reads up to the end of the record's element. A delta has `before` and no hash.
fn body<'a>(p: &mut Pull<'a>, r: &mut Record, sites: &Sites, mut before: Option<&mut Version>) -> Result<(), Bad> {
    let mut befores = 0;
    while let Some(mut tag) = p.child()? {
        match (tag.name, before.as_deref_mut()) {
            ("seen", _) => read_seen(p, tag, sites, &mut r.version)?,
            ("before", Some(before)) => {
                p.no_more(&tag)?;
                befores += 1;
                while let Some(tag) = p.child()? {
                    if tag.name != "seen" {
                        return Err(p.bad("an unknown element in <before>"));
                    }
                    read_seen(p, tag, sites, before)?;
                }
            }
            ("same-as", _) => {
                let id = p.uuid(&mut tag, "id")?;
                let fact = match p.need(&mut tag, "is")?.as_str() {
                    "same" => SameAs::Same,
                    "not" => SameAs::Not,
                    "undone" => SameAs::Undone,
                    _ => return Err(p.bad("an unknown `is`")),
                };
                let stamp = p.need_stamp(&mut tag, sites)?;
                p.no_more(&tag)?;
                p.empty()?;
                once(p, r.same_as.insert(id, (stamp, fact)).is_none())?;
            }
            ("erased", _) => {
                let stamp = p.need_stamp(&mut tag, sites)?;
                p.no_more(&tag)?;
                let mut by = None;
                while let Some(mut tag) = p.child()? {
                    if tag.name != "by" {
                        return Err(p.bad("an unknown element in <erased>"));
                    }
                    let text = string(p, &mut tag)?;
                    once(p, by.replace(text).is_none())?;
                }
                once(p, r.erased.replace(Erasure { stamp, by: by.unwrap_or_default() }).is_none())?;
            }
            ("row", _) => {
                let (key, row) = read_row(p, tag, sites)?;
                if r.rows.insert(key, row).is_some() {
                    return Err(p.bad("a row that stands twice"));
                }
            }
            // Its value was checked before anything was read.
            ("sha256", None) => {
                p.no_more(&tag)?;
                p.text()?;
                return match p.child()? {
                    None => Ok(()),
                    Some(_) => Err(p.bad("something after the hash")),
                };
            }
            ("site" | "f" | "was" | "deleted" | "by" | "why" | "before" | "sha256" | "record", _) => return Err(p.bad("an element out of its place")),
            _ => {
                let (key, extra) = read_extra(p, tag, sites)?;
                once(p, r.extras.insert(key, extra).is_none())?;
            }
        }
    }
    match before {
        Some(_) if befores == 1 => Ok(()),
        Some(_) => Err(p.bad("a delta has one <before>")),
        None => Err(p.bad("the hash is missing")),
    }
}

fn once(p: &Pull<'_>, first: bool) -> Result<(), Bad> {
    if first { Ok(()) } else { Err(p.bad("an element that stands twice")) }
}

fn read_seen<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>, sites: &Sites, version: &mut Version) -> Result<(), Bad> {
    let stamp = p.need_stamp(&mut tag, sites)?;
    p.no_more(&tag)?;
    p.empty()?;
    once(p, version.0.insert(stamp.site, stamp.time).is_none())
}

fn string<'a>(p: &mut Pull<'a>, tag: &mut Tag<'a>) -> Result<String, Bad> {
    let bytes = p.bytes(tag)?;
    p.no_more(tag)?;
    String::from_utf8(bytes.into_owned()).map_err(|_| p.bad("not UTF-8"))
}

fn read_row<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>, sites: &Sites) -> Result<(RowKey, Row), Bad> {
    let table = p.name(&mut tag, "table")?;
    let key = RowKey::new(table, p.uuid(&mut tag, "id")?);
    let mut row = Row::new(p.need_stamp(&mut tag, sites)?);
    row.unknown = p.unknown(tag)?;
    while let Some(mut tag) = p.child()? {
        match tag.name {
            "deleted" => {
                if row.tombstone.is_some() {
                    return Err(p.bad("two tombstones on one row"));
                }
                row.tombstone = Some(read_tombstone(p, tag, sites)?);
            }
            "f" | "was" => {
                let current = tag.name == "f";
                let name = p.name(&mut tag, "n")?;
                let place = match tag.take("place") {
                    None => None,
                    Some(n) => Some(sites.site(&n).ok_or_else(|| p.bad("an unknown site number"))?),
                };
                let stamp = p.stamp(&mut tag, sites)?.unwrap_or(row.stamp);
                let (value, unknown) = read_value(p, tag)?;
                let field = row.fields.get_or_default(FieldKey { name, place });
                let entry = Entry { stamp, value, unknown };
                // The current value stands first; the superseded ones follow it.
                if field.0.is_empty() != current || !field.0.insert(entry) {
                    return Err(p.bad("a field that stands twice"));
                }
            }
            "site" | "seen" | "before" | "same-as" | "erased" | "row" | "by" | "why" | "sha256" | "record" => return Err(p.bad("an element out of its place")),
            _ => {
                let (key, extra) = read_extra(p, tag, sites)?;
                once(p, row.extras.insert(key, extra).is_none())?;
            }
        }
    }
    Ok((key, row))
}

fn read_tombstone<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>, sites: &Sites) -> Result<Tombstone, Bad> {
    let stamp = p.need_stamp(&mut tag, sites)?;
    let bare = p.yes(&mut tag, "bare")?;
    let moved_to = match (tag.take("moved-record"), tag.take("moved-row")) {
        (None, None) => None,
        (Some(record), Some(row)) => Some((p.parse_uuid(&record, "moved-record")?, p.parse_uuid(&row, "moved-row")?)),
        _ => return Err(p.bad("half a `moved-record` and `moved-row`")),
    };
    let mut t = Tombstone { stamp, by: String::new(), why: String::new(), moved_to, seen: Version::default(), bare, unknown: p.unknown(tag)? };
    let (mut by, mut why) = (None, None);
    while let Some(mut tag) = p.child()? {
        match tag.name {
            "by" | "why" => {
                let place = if tag.name == "by" { &mut by } else { &mut why };
                let text = string(p, &mut tag)?;
                once(p, place.replace(text).is_none())?;
            }
            "seen" => read_seen(p, tag, sites, &mut t.seen)?,
            _ => return Err(p.bad("an unknown element in a tombstone")),
        }
    }
    t.by = by.unwrap_or_default();
    t.why = why.unwrap_or_default();
    Ok(t)
}

fn read_value<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>) -> Result<(Value, BTreeMap<String, String>), Bad> {
    let kind = tag.take("type");
    let value = match kind.as_deref() {
        None => {
            // If it is large, this is where its own will stand.
            p.not_here(&tag, &["sha256", "size"])?;
            Value::Text((&*p.bytes(&mut tag)?).into())
        }
        Some("null") => {
            p.empty()?;
            Value::Null
        }
        Some("integer") => {
            let s = p.text()?;
            Value::Integer(s.parse().ok().filter(|i: &i64| i.to_string() == s).ok_or_else(|| p.bad("not an integer"))?)
        }
        Some("real") => Value::Real(unnumber(&p.text()?).ok_or_else(|| p.bad("not a real"))?),
        Some(kind @ ("blob" | "text")) => match tag.take("sha256") {
            Some(hash) => {
                let sha256 = unhex(&hash).and_then(|h| h.try_into().ok()).ok_or_else(|| p.bad("not a SHA-256"))?;
                let size_bytes = p.whole(&mut tag, "size")?;
                if size_bytes <= MAX_INLINE_BYTES as u64 {
                    // The size alone decides, or one value would have two spellings.
                    return Err(p.bad("a value under `blobs/` that is small enough to stand here"));
                }
                p.empty()?;
                Value::Stored { text: kind == "text", sha256, size_bytes }
            }
            None if kind == "text" => return Err(p.bad("`type` is `text` without `sha256`")),
            None => {
                p.not_here(&tag, &["size"])?;
                let text = p.text()?;
                Value::Blob(crate::xml::text::unbase64(&text).ok_or_else(|| p.bad("not base64"))?.into())
            }
        },
        Some("ref") => {
            let table = p.name(&mut tag, "table")?;
            let owner = p.yes(&mut tag, "owner")?;
            let record = tag.take("record").map(|s| p.parse_uuid(&s, "record")).transpose()?;
            let text = p.text()?;
            Value::Ref(Reference { table, row: p.parse_uuid(&text, "ref")?, record, owner })
        }
        Some(_) => return Err(p.bad("an unknown type")),
    };
    Ok((value, p.unknown(tag)?))
}

/// Reads an element of a later format. Its `s` and `t`, if it has them, stand first, and are the
/// only site number in it: the numbers of one file mean nothing in another.
fn read_extra<'a>(p: &mut Pull<'a>, mut tag: Tag<'a>, sites: &Sites) -> Result<(ExtraKey, Extra), Bad> {
    let source = p.skip(&tag)?;
    let name = tag.written;
    let at = match (tag.take("s"), tag.take("t")) {
        (Some(s), Some(t)) => Some((p.parse_stamp(&s, &t, sites)?, format!("<{name} s=\"{s}\" t=\"{t}\""))),
        (None, None) => None,
        _ => return Err(p.bad("half a stamp")),
    };
    let key = tag.take("key").unwrap_or_default().into_owned();
    let (declaration, local) = match name.split_once(':') {
        None => ("xmlns".to_owned(), name),
        Some((prefix, local)) => (format!("xmlns:{prefix}"), local),
    };
    let namespace = tag.take(&declaration).map_or(NAMESPACE.to_owned(), std::borrow::Cow::into_owned);
    let (stamp, xml) = match at {
        None => (None, source.to_owned()),
        Some((stamp, head)) => {
            let rest = source.strip_prefix(&head).ok_or_else(|| p.bad("a stamp that does not stand first"))?;
            (Some(stamp), format!("<{name}{rest}"))
        }
    };
    Ok(((namespace, local.to_owned(), key), Extra { stamp, xml: xml.into_bytes() }))
}
