//! From a schema nobody prepared for us to a proposal a person can judge: which table is the record,
//! what belongs to it, what is counted locally, and why. It only reads.

mod above;
mod data;
mod dictionary;
mod edges;
mod format;
mod infer;
mod installed;
mod kept;
mod keyless;
mod like;
mod local;
mod matching;
mod render;
mod report;
mod root;
mod stamps;
mod tree;

pub use render::{render, section};

use super::schema::{HostTable, Schema, same};
use crate::config::{Capture, ColumnRule, Config, nearest};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// What a person said on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitOptions {
    /// `--root`: the table that is the record, then those of further kinds of records.
    pub roots: Vec<String>,
    /// `--match-on`: the columns that say which records of two sites are one.
    pub match_on: Option<Vec<String>>,
    /// `--no-match`: nobody is at two sites.
    pub no_match: bool,
    /// What the place that set the folder up synchronizes.
    pub like: Option<Config>,
}

/// What the top of `cfs.toml` says; the caller fills it in before [`render`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The host database, as it is to stand in the file.
    pub database: String,
    /// The sync folder.
    pub folder: String,
    /// This site's name.
    pub site: String,
    /// How what the host changed is found.
    pub capture: Capture,
}

/// A proposed `cfs.toml`, with the reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The top of the file.
    pub settings: Settings,
    /// The root table.
    pub root: String,
    /// Why it is the root.
    pub root_why: String,
    /// Record types: shared ones first, the root's last.
    pub types: Vec<ProposedType>,
    /// Tables in the order of the types, each after its parent.
    pub tables: Vec<ProposedTable>,
    /// What is left out, each with the reason.
    pub left_out: Vec<LeftOut>,
    /// What a person should look at before the first sync.
    pub notes: Vec<String>,
}

/// A record type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProposedType {
    /// Its root table.
    pub table: String,
    /// Whether rows that mean the same at two sites are one: what records point to, and no people.
    pub shared: bool,
    /// Whether it was asked for, beside the record.
    pub further: bool,
    /// What is matched on.
    pub match_on: Vec<Vec<String>>,
    /// Why, or why nothing is.
    pub match_why: String,
    /// What must agree as well.
    pub match_check: Vec<String>,
    /// Why it is a type.
    pub why: String,
}

/// A table of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProposedTable {
    /// Its name.
    pub name: String,
    /// The root table of the type it belongs to.
    pub kind: String,
    /// How many rows it has, counted up to a limit.
    pub rows: u64,
    /// How far it is from the root.
    pub depth: usize,
    /// What makes its rows belong to a record; `None` for a root.
    pub owner: Option<Owner>,
    /// Columns that each site numbers for itself.
    pub locals: Vec<LocalColumn>,
    /// References that the schema does not declare.
    pub told: Vec<Told>,
    /// Columns that are only ever stamped upwards.
    pub rules: Vec<Ruled>,
    /// Columns whose conflicts should stand out.
    pub review: Vec<String>,
    /// Why a record has one row of it, where it does.
    pub single: Option<String>,
    /// Columns that are neither read nor written.
    pub ignore: Vec<Kept>,
    /// Why its rows cannot be written, or not be deleted, by anyone but the host.
    pub refused: Option<String>,
}

/// The reference that makes a row belong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its columns.
    pub columns: Vec<String>,
    /// Where it points.
    pub parent: String,
    /// Why this one.
    pub why: String,
}

/// A local column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalColumn {
    /// Its name.
    pub column: String,
    /// The SQL that gives an imported row its number.
    pub assign: Option<String>,
    /// The SQL that gives the highest number in use; `:next` in `assign` is one more.
    pub count: Option<String>,
    /// Whether the number it had is kept where free.
    pub keep_if_free: bool,
    /// Why it is local.
    pub why: String,
}

/// An undeclared reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The column.
    pub column: String,
    /// The table, or the column that names the table.
    pub target: String,
    /// The UNIQUE column of the target that it holds, where that is not its key.
    pub target_column: Option<String>,
    /// Whether `target` is a column.
    pub by_column: bool,
    /// For a text `model,id`: the models that it names, the target's first, each with its table.
    pub models: Vec<(String, String)>,
    /// What the data say.
    pub evidence: String,
    /// Whether it is switched on.
    pub on: bool,
}

/// A column that stays where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub column: String,
    /// What an imported row gets in it, as SQL; `None` leaves it to the schema.
    pub fill: Option<String>,
    /// Why it stays.
    pub why: String,
}

impl Told {
    /// The target as `references` wants it: `patient`, or `patient.uuid`.
    pub fn spelled(&self) -> String {
        match &self.target_column {
            Some(column) => format!("{}.{column}", self.target),
            None => self.target.clone(),
        }
    }
}

/// A column of which another value than the newest is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// Its name.
    pub column: String,
    /// Which value is shown.
    pub rule: ColumnRule,
    /// Why.
    pub why: String,
}

/// Something left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// `--root` names no table.
    #[error("the database has no table `{name}`{}", near.as_ref().map(|n| format!("; did you mean `--root {n}`?")).unwrap_or_default())]
    NoSuchTable {
        /// The name as given.
        name: String,
        /// The nearest table.
        near: Option<String>,
    },
    /// `--match-on` names no column of the root.
    #[error("table `{table}` has no column `{name}`{}", near.as_ref().map(|n| format!("; did you mean `--match-on {n}`?")).unwrap_or_default())]
    NoSuchColumn {
        /// The root table.
        table: String,
        /// The name as given.
        name: String,
        /// The nearest column.
        near: Option<String>,
    },
    /// No table is the root.
    #[error("no table looks like the one that everything else belongs to ({tables} tables, none with others hanging off it by foreign key); name it with --root TABLE")]
    NoRoot {
        /// How many tables there are.
        tables: usize,
    },
    /// Several tables could be the root.
    #[error("{} could each be the table that the others belong to; say which with --root {}", list(candidates), candidates.first().map(|c| c.0.as_str()).unwrap_or("TABLE"))]
    TwoRoots {
        /// The candidates, each with how many tables hang off it.
        candidates: Vec<(String, usize)>,
    },
    /// The rows of the root cannot be named.
    #[error("rows of `{0}` cannot be named: it has no key and its columns hide the rowid; name another table with --root")]
    NoKey(String),
    /// The database could not be asked.
    #[error("the host database could not be read: {0}")]
    Sql(#[from] rusqlite::Error),
}

impl ProposeError {
    /// The exit code: 2 where the answer is a flag, 1 where the database failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            ProposeError::Sql(_) => 1,
            _ => 2,
        }
    }
}

fn list(candidates: &[(String, usize)]) -> String {
    let said: Vec<String> = candidates.iter().map(|(n, c)| format!("`{n}` ({c} {} off it)", if *c == 1 { "table hangs" } else { "tables hang" })).collect();
    said.join(" and ")
}

/// What the host lets nobody but itself do to a table's rows.
fn refused(db: &Connection, table: &HostTable) -> Option<String> {
    let columns: Vec<&str> = table.columns.iter().filter(|c| !c.generated).map(|c| c.name.as_str()).collect();
    let r = super::resolve::refused(db, &table.name, &columns);
    let kept = "is kept in the folder, and not shown here";
    match (r.insert, r.update, r.delete) {
        (Some(why), Some(_), _) => Some(format!("read only: its rows are sent; what other sites write in it {kept} ({why})")),
        (Some(why), None, _) => Some(format!("no rows can be added from outside ({why}): its rows are sent; what is new at other sites {kept}")),
        (None, Some(why), _) => Some(format!("its rows cannot be changed from outside ({why}): new rows come and go; what other sites change in one {kept}")),
        (None, None, Some(why)) => Some(format!("its rows cannot be deleted from outside ({why}): what is deleted elsewhere is held here")),
        (None, None, None) => None,
    }
}

/// Looks at schema and data and proposes what to synchronize.
pub fn propose(db: &Connection, schema: &Schema, options: &InitOptions) -> Result<Proposal, ProposeError> {
    let mut counted = schema.clone();
    counted.count_rows(db)?;
    keyless::assume(db, &mut counted)?;
    let schema = &counted;
    let like = like::Like::new(options.like.as_ref());
    let edges = edges::Edges::read(db, schema, &like)?;
    let said = options.roots.first().map(String::as_str);
    let theirs = like.root(schema, &edges).filter(|_| said.is_none());
    let begins = said.is_none() && theirs.is_none();
    let (root, root_why) = match theirs {
        Some(found) => found,
        None => root::choose(schema, &edges, said)?,
    };
    let person = root;
    let mut above: Vec<usize> = Vec::new();
    let (root, root_why) = match above::top(db, schema, &edges, person)?.filter(|_| begins) {
        Some((chain, top, why)) => {
            above = chain.into_iter().filter(|t| schema.tables[*t].rowid_alias.is_some()).collect();
            (top, format!("{}: {root_why}. {why}", schema.tables[person].name))
        }
        None => (root, root_why),
    };
    let name = schema.tables[root].name.clone();
    let mut further: Vec<usize> = options.roots.iter().skip(1).map(|n| root::named(schema, n)).collect::<Result<_, _>>()?;
    further.extend(like.further(schema, &edges, root));
    let mut known = BTreeSet::from([root, person]);
    further.retain(|t| known.insert(*t));
    if let Some(without) = further.iter().chain([&root]).map(|t| &schema.tables[*t]).find(|t| t.rowid_name.is_none() && t.key_columns().is_empty()) {
        return Err(ProposeError::NoKey(without.name.clone()));
    }
    let tree = loop {
        let tree = tree::Tree::grow(db, schema, &edges, (root, person), &further, &like)?;
        let missing = like.missing(schema, &tree);
        if missing.is_empty() {
            break tree;
        }
        further.extend(missing);
    };
    let elsewhere = |c: &str| {
        let (table, column) = c.rsplit_once('.')?;
        let at = tree.members.iter().map(|m| &schema.tables[m.table]).find(|t| same(&t.name, table))?;
        at.column(column)
    };
    for column in options.match_on.iter().flatten() {
        if schema.tables[root].column(column).is_none() && elsewhere(column).is_none() {
            let near = nearest(column, schema.tables[root].columns.iter().map(|c| c.name.as_str()));
            return Err(ProposeError::NoSuchColumn { table: name, name: column.clone(), near });
        }
    }
    let mut proposal = Proposal { root: name, root_why, left_out: tree.left_out.clone(), ..Proposal::default() };
    let counters = data::Counters::read(db, schema)?;
    for (index, why) in &tree.shared {
        let found = matching::shared(db, schema, &edges, &counters, *index)?;
        proposal.types.push(ProposedType { table: schema.tables[*index].name.clone(), shared: true, why: why.clone(), ..found });
    }
    for index in &further {
        let found = matching::further(db, schema, &edges, &counters, &tree, (*index, options.no_match))?;
        proposal.types.push(ProposedType { table: schema.tables[*index].name.clone(), why: root::FURTHER.to_owned(), further: true, ..found });
    }
    let found = matching::root(db, schema, &edges, &counters, &tree, (root, options))?;
    proposal.types.push(ProposedType { table: proposal.root.clone(), why: proposal.root_why.clone(), ..found });
    matching::leave_out_dead_ends(schema, &edges, &tree, &mut proposal.types);
    for member in tree.all() {
        let table = &schema.tables[member.table];
        let kind = proposal.types.iter().find(|t| t.table == table.name);
        let match_on = kind.map(|t| t.match_on.clone()).unwrap_or_default();
        let kind = schema.tables[member.root].name.clone();
        let mut told: Vec<Told> = edges.told_of(member.table).cloned().collect();
        told.sort_by_key(|t| !t.on);
        proposal.tables.push(ProposedTable {
            name: table.name.clone(),
            kind,
            rows: table.rows,
            depth: member.depth,
            owner: member.owner.clone(),
            locals: local::columns(db, schema, &edges, &counters, member.table, &match_on)?,
            told,
            rules: stamps::rules(schema, table),
            review: stamps::review(table),
            single: above.contains(&member.table).then(|| "each person has one".to_owned()),
            ignore: kept::columns(db, table)?,
            refused: refused(db, table),
        });
    }
    like.follow(schema, &mut proposal, options);
    proposal.notes = report::notes(db, schema, &edges, &proposal, &tree)?;
    Ok(proposal)
}
