//! Signs by which a row is recognised, as bytes that can be compared.

use crate::host::mapping::{Role, Rule, Table};
use crate::record::FieldKey;
use crate::value::Value;

/// A row's whole content, as bytes that are equal for equal rows. What triggers stamp, and what each
/// site numbers, is no content; the number of a line within its invoice is, if it is to be `counted`.
pub fn content(t: &Table, counted: bool, get: impl Fn(&FieldKey) -> Option<Value>) -> Vec<u8> {
    let says = |r: &Role| *r == Role::Data || counted && matches!(r, Role::Local { keep_if_free: true, .. });
    let data = t.columns.iter().filter(|c| says(&c.role) && c.rule == Rule::Latest);
    let data = data.map(|c| FieldKey::shared(c.name.clone()));
    let fields: Vec<FieldKey> = data.chain(t.references.iter().map(|r| FieldKey::shared(r.field.clone()))).collect();
    sign(0, &fields, true, get)
}

/// The values of some fields; nothing where one is NULL, unless that says something as well. `n` tells
/// one kind of sign from another.
pub(super) fn sign(n: u8, fields: &[FieldKey], null_matches: bool, get: impl Fn(&FieldKey) -> Option<Value>) -> Vec<u8> {
    let mut out = vec![n];
    for f in fields {
        let v = get(f).unwrap_or(Value::Null);
        if v.is_null() && !null_matches {
            return Vec::new();
        }
        let b = v.bytes();
        out.extend((b.len() as u64).to_le_bytes());
        out.extend(b);
    }
    out
}
