//! Applications that describe their own data: a table that says which column of which model points to
//! which other model, as frameworks keep it (`ir_model_field`, `ir_model_fields`).

use crate::host::looks::{model_table, words};
use crate::host::mapping::Affinity;
use crate::host::schema::{HostTable, Schema, quoted, same};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// No application has more fields than this.
const MOST: u32 = 200_000;

/// What the application says of its columns.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// Table and column, in small letters, to the table that it points to.
    to_one: BTreeMap<(String, String), String>,
    /// Columns that hold `model,id`.
    to_any: Vec<(String, String)>,
    /// The tables that the description is kept in.
    pub(super) tables: Vec<String>,
    /// The models that have a table, as they are spelled, each with the table.
    pub(super) models: Vec<(String, String)>,
}

impl Dictionary {
    pub(super) fn read(db: &Connection, schema: &Schema) -> Result<Dictionary, rusqlite::Error> {
        let mut found = Dictionary::default();
        for table in &schema.tables {
            found.read_table(db, schema, table)?;
        }
        Ok(found)
    }

    fn read_table(&mut self, db: &Connection, schema: &Schema, table: &HostTable) -> Result<(), rusqlite::Error> {
        let name = words(&table.name);
        let Some((last, before)) = name.split_last() else { return Ok(()) };
        let pick = |names: &[&str]| names.iter().find_map(|n| table.column(n));
        let columns = (
            pick(&["relation", "comodel", "related_model", "target_model"]),
            pick(&["ttype", "field_type"]),
            pick(&["name", "field_name"]),
            pick(&["model", "model_id", "model_name"]),
        );
        let (true, (Some(relation), Some(kind), Some(field), Some(model))) = (["field", "fields"].contains(&last.as_str()), columns) else { return Ok(()) };
        // The model is named, or is a row of the table of models.
        let models = schema.tables.iter().find(|t| words(&t.name) == before && model.affinity == Affinity::Integer);
        let named = models.and_then(|m| Some((m, ["model", "table_name", "name"].iter().find_map(|n| m.column(n))?)));
        let (from, said) = match named {
            Some((m, column)) => {
                (format!(" JOIN main.{} AS m ON m.{} = f.{}", quoted(&m.name), quoted(m.single_key().unwrap_or("id")), quoted(&model.name)), format!("m.{}", quoted(&column.name)))
            }
            None => (String::new(), format!("f.{}", quoted(&model.name))),
        };
        let (relation, kind, field) = (quoted(&relation.name), quoted(&kind.name), quoted(&field.name));
        let sql = format!(
            "SELECT CAST({said} AS TEXT), CAST(f.{field} AS TEXT), lower(CAST(f.{kind} AS TEXT)), CAST(f.{relation} AS TEXT) FROM main.{} AS f{from} LIMIT {MOST}",
            quoted(&table.name)
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut any = false;
        while let Some(r) = rows.next()? {
            let text = |i: usize| -> Result<String, rusqlite::Error> { Ok(r.get_ref(i)?.as_bytes_or_null()?.map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default()) };
            let (model, field, kind, relation) = (text(0)?, text(1)?, text(2)?, text(3)?);
            let Some(of) = table_of(schema, &model) else { continue };
            if !self.models.iter().any(|(m, _)| *m == model) {
                self.models.push((model.clone(), of.name.clone()));
            }
            if of.column(&field).is_none_or(|c| c.generated) {
                continue;
            }
            let place = (of.name.to_lowercase(), field.to_lowercase());
            match kind.as_str() {
                "many2one" | "one2one" | "foreignkey" | "onetoonefield" => {
                    if let Some(target) = table_of(schema, &relation) {
                        self.to_one.insert(place, target.name.clone());
                        any = true;
                    }
                }
                "reference" => self.to_any.push(place),
                _ => {}
            }
        }
        if any {
            self.tables.push(table.name.clone());
            self.tables.extend(named.map(|(m, _)| m.name.clone()));
        }
        Ok(())
    }

    /// The table that a column points to.
    pub(super) fn target(&self, table: &str, column: &str) -> Option<&str> {
        self.to_one.get(&(table.to_lowercase(), column.to_lowercase())).map(String::as_str)
    }

    /// Whether a column holds `model,id`.
    pub(super) fn is_any(&self, table: &str, column: &str) -> bool {
        self.to_any.iter().any(|(t, c)| same(t, table) && same(c, column))
    }
}

/// The table of a model: `party.party` is kept in `party_party`.
pub(super) fn table_of<'a>(schema: &'a Schema, model: &str) -> Option<&'a HostTable> {
    if model.is_empty() {
        return None;
    }
    schema.table(model).or_else(|| schema.table(&model_table(model)))
}
