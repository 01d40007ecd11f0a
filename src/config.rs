//! `cfs.toml`: what one site synchronizes, and how. Pure data; `host::resolve` checks it against the
//! live schema. It is written once by `init` and belongs to a person from then on.

pub mod edit;
mod error;
mod keys;

pub use error::{ConfigError, Place};
pub use keys::nearest;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host database.
    pub database: PathBuf,
    /// The sync folder.
    pub folder: PathBuf,
    /// The name a person gave this site.
    pub site: String,
    /// Whether this site writes a change log.
    #[serde(default = "yes")]
    pub use_logs: bool,
    /// Whether conflict files are deleted once everything in them is in the canonical file.
    #[serde(default = "yes")]
    pub delete_conflicts: bool,
    /// Minutes between the service's own synchronizations; 0 for none.
    #[serde(default = "five")]
    pub auto_sync_minutes: u32,
    /// Times at which the service synchronizes instead: minute, hour, day, month, weekday.
    #[serde(default)]
    pub sync_at: Times,
    /// The port of the service's page; 0 for any that is free.
    #[serde(default)]
    pub page_port: u16,
    /// What happens to rows that the host deletes, where a table does not say.
    #[serde(default)]
    pub local_deletes: Deletes,
    /// How what the host changed is found.
    #[serde(default)]
    pub capture: Capture,
    /// Where the small file outside the database is kept, if not in the platform's own place.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
    /// Days that what was deleted stays restorable.
    #[serde(default = "thirty")]
    pub retention_days: u32,
    /// Record types, by their root table.
    #[serde(default, rename = "type")]
    pub types: BTreeMap<String, TypeConfig>,
    /// Tables, by name.
    #[serde(default, rename = "table")]
    pub tables: BTreeMap<String, TableConfig>,
    /// Tables left out, each with the reason.
    #[serde(default)]
    pub leave_out: BTreeMap<String, String>,
    /// The file's own text, so that an error can say the line.
    #[serde(skip)]
    pub source: Source,
}

/// Where a configuration came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The file's name.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

/// `[type.patient]`: a root table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypeConfig {
    /// Columns (or several sets of them) that say which rows of two sites are one.
    pub match_on: Sets,
    /// Columns that must agree as well before a match is made.
    pub match_check: Names,
    /// An SQL condition on the root table that narrows what is synchronized.
    pub r#where: Option<String>,
    /// Whether other records point to these rows (doctors, code lists).
    pub shared: bool,
}

/// `[table.visit]`: a table of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableConfig {
    /// The column (or columns) of the reference that makes a row belong to its record.
    pub owner: Names,
    /// Whether the key travels, where that is not as its kind says.
    pub keys: Option<Keys>,
    /// Columns that every site numbers for itself.
    pub local: Locals,
    /// References that the schema does not declare: column (or `a+b`) to table.
    pub references: BTreeMap<String, String>,
    /// References whose table another column of the row names: column to that column.
    pub references_by: BTreeMap<String, String>,
    /// References written as `model,id` in one text: column to the models that are followed. A model's table is
    /// called like it, with `_` for the dots.
    pub references_in_text: BTreeMap<String, Names>,
    /// Columns that are neither read nor written.
    pub ignore: Names,
    /// What an imported row gets in a column that is ignored: an SQL expression.
    pub fill: BTreeMap<String, String>,
    /// Columns that were called otherwise when the others came to know them: column to its old name, under
    /// which it travels.
    pub renamed: BTreeMap<String, String>,
    /// Columns whose superseded values stand out until a person decides.
    pub review: Names,
    /// What is shown of a field that several sites wrote; `latest` where nothing is said.
    pub rules: BTreeMap<String, ColumnRule>,
    /// Whether a record has one row of it: two sites' rows of one person are one row.
    pub single: bool,
    /// Whether lines that the host deletes and inserts anew when it saves are recognised.
    pub rewrites: Option<bool>,
    /// What happens to rows that the host deletes.
    pub local_deletes: Option<Deletes>,
}

/// One name, or a list of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "NameForms")]
pub struct Names(pub Vec<String>);

/// One time of the week, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "TimeForms")]
pub struct Times(pub Vec<String>);

/// One set of names, or a list of sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "SetForms")]
pub struct Sets(pub Vec<Vec<String>>);

/// Local columns. A person writes `local = ["file_no"]` where plain counting on will do, and
/// `local.file_no = "SELECT …"` to say how an imported row gets its number; the SELECT may use the
/// incoming row's other columns as `:column`. `local.line_no = { keep_if_free = true }` keeps the
/// number that the row had where it came from, if it is free here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "LocalForms")]
pub struct Locals(pub BTreeMap<String, Local>);

/// How one local column gets its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// The SQL that gives the number.
    pub assign: Option<String>,
    /// The SQL that gives the highest number in use; `:next` in `assign` is one more.
    pub count: Option<String>,
    /// Whether the number from where the row came is used if it is free here.
    pub keep_if_free: bool,
}

/// Whether a key travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// It means the same everywhere.
    Natural,
    /// Every site gives its own.
    Surrogate,
}

/// What happens to a row that the host deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// It comes back at the next sync.
    #[default]
    Restore,
    /// It stays away here until a person confirms or takes it back.
    Ask,
}

/// How what the host changed is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// Triggers in the host's schema note which rows were touched.
    #[default]
    Triggers,
    /// Every row is read and compared, at each synchronization.
    Scan,
}

/// Which of several values a field shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ColumnRule {
    /// The newest.
    Latest,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// All items of lists, with this sign between the items, or with the usual ones.
    Union(Option<char>),
    /// Notes: both texts' lines, merged three ways.
    Text,
}

impl ColumnRule {
    /// As it is written.
    pub fn name(self) -> String {
        match self {
            ColumnRule::Latest => "latest".to_owned(),
            ColumnRule::Max => "max".to_owned(),
            ColumnRule::Min => "min".to_owned(),
            ColumnRule::Text => "text".to_owned(),
            ColumnRule::Union(None) => "union".to_owned(),
            ColumnRule::Union(Some(sign)) => format!("union {sign}"),
        }
    }
}

impl TryFrom<String> for ColumnRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "latest" => return Ok(ColumnRule::Latest),
            "max" => return Ok(ColumnRule::Max),
            "min" => return Ok(ColumnRule::Min),
            "text" => return Ok(ColumnRule::Text),
            "union" => return Ok(ColumnRule::Union(None)),
            _ => {}
        }
        // A sign that could be part of an item would take items apart.
        let mut sign = text.strip_prefix("union ").unwrap_or_default().chars();
        match (sign.next(), sign.next()) {
            (Some(c), None) if !c.is_alphanumeric() => Ok(ColumnRule::Union(Some(c))),
            _ => Err(format!("`{text}` is not a rule; it is `latest`, `max`, `min`, `text`, `union`, or `union` and the sign between the items, as in `union ;`")),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a column name, or a list of them")]
enum NameForms {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a time in quotes, as in \"0 12 * * mon-fri\", or a list of them")]
enum TimeForms {
    One(String),
    Many(Vec<String>),
}

impl From<TimeForms> for Times {
    fn from(f: TimeForms) -> Self {
        match f {
            TimeForms::One(t) => Times(vec![t]),
            TimeForms::Many(all) => Times(all),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a column name, a list of them, or a list of lists")]
enum SetForms {
    Names(NameForms),
    Sets(Vec<NameForms>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of columns, or for each column a SELECT or { keep_if_free = true }")]
enum LocalForms {
    List(NameForms),
    Each(BTreeMap<String, LocalForm>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a SELECT, or { assign = \"SELECT …\", keep_if_free = true }")]
enum LocalForm {
    Assign(String),
    Full {
        #[serde(default)]
        assign: Option<String>,
        #[serde(default)]
        count: Option<String>,
        #[serde(default)]
        keep_if_free: bool,
    },
}

impl From<NameForms> for Names {
    fn from(forms: NameForms) -> Self {
        match forms {
            NameForms::One(name) => Names(vec![name]),
            NameForms::Many(names) => Names(names),
        }
    }
}

impl From<SetForms> for Sets {
    fn from(forms: SetForms) -> Self {
        let sets = match forms {
            SetForms::Names(names) => vec![Names::from(names).0],
            SetForms::Sets(sets) => sets.into_iter().map(|s| Names::from(s).0).collect(),
        };
        Sets(sets.into_iter().filter(|s| !s.is_empty()).collect())
    }
}

impl From<LocalForms> for Locals {
    fn from(forms: LocalForms) -> Self {
        match forms {
            LocalForms::List(names) => Locals(Names::from(names).0.into_iter().map(|n| (n, Local::default())).collect()),
            LocalForms::Each(each) => {
                let local = |form| match form {
                    LocalForm::Assign(sql) => Local { assign: Some(sql), count: None, keep_if_free: false },
                    LocalForm::Full { assign, count, keep_if_free } => Local { assign, count, keep_if_free },
                };
                Locals(each.into_iter().map(|(n, f)| (n, local(f))).collect())
            }
        }
    }
}

impl Config {
    /// Reads the file. Relative paths in it are relative to where it is.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Config::parse(&text, file)
    }

    /// Reads the text of the file of that name.
    pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        keys::check(&source)?;
        let mut config: Config = toml::from_str(text).map_err(|e| source.broken(&e))?;
        let dir = file.parent().unwrap_or(Path::new(""));
        config.database = dir.join(&config.database);
        config.folder = dir.join(&config.folder);
        config.state_dir = config.state_dir.map(|s| dir.join(s));
        if config.site.trim().is_empty() {
            let at = source.place(&["site"], None);
            return Err(ConfigError::Value { at, what: "`site` is empty; give this place a name that people know it by".into() });
        }
        config.source = source;
        Ok(config)
    }

    /// The tables of the file, without what is this place's own (paths, names) and without comments.
    pub fn shared_text(&self) -> String {
        let Ok(mut all) = toml::from_str::<toml::Table>(&self.source.text) else { return String::new() };
        all.retain(|_, v| v.is_table());
        toml::to_string(&all).unwrap_or_default()
    }

    /// Reads what [`Config::shared_text`] gave.
    pub fn of_shared(text: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("database = \"-\"\nfolder = \"-\"\nsite = \"-\"\n{text}"), Path::new(crate::manifest::FILE_NAME))
    }

    /// What the configuration says of a table, whatever the case of its name.
    pub fn table(&self, name: &str) -> Option<&TableConfig> {
        self.tables.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, t)| t)
    }

    /// Whether a table is left out by name.
    pub fn left_out(&self, name: &str) -> bool {
        self.leave_out.keys().any(|n| n.eq_ignore_ascii_case(name))
    }
}

/// A path without the links and detours that lead to it; as it is where it leads nowhere.
pub fn real(path: &Path) -> PathBuf {
    dunce::canonicalize(path).unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        // Of what is not there, as much as is: nobody wants to read `north/../folder`.
        (Some(above), Some(name)) if above.components().next().is_some() => real(above).join(name),
        _ => path.to_owned(),
    })
}

fn yes() -> bool {
    true
}

fn five() -> u32 {
    5
}

fn thirty() -> u32 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "database = \"clinic.db\"\nfolder = \"/srv/sync\"\nsite = \"North\"\n";

    fn parse(rest: &str) -> Result<Config, String> {
        Config::parse(&format!("{HEAD}{rest}"), Path::new("/etc/cfs/cfs.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_paths() {
        let c = parse("").unwrap();
        assert_eq!(c.database, Path::new("/etc/cfs/clinic.db"));
        assert_eq!(c.folder, Path::new("/srv/sync"));
        assert!(c.use_logs && c.delete_conflicts && c.auto_sync_minutes == 5 && c.retention_days == 30);
    }

    #[test]
    fn every_form_of_a_list() {
        let c = parse(
            "[type.patient]\nmatch_on = [\"a\", \"b\"]\n[type.doctor]\nmatch_on = [[\"a\"], \"b\"]\nshared = true\n[type.\"code item\"]\nmatch_on = \"x\"\n
             [table.visit]\nowner = \"p\"\nlocal.no = \"SELECT 1\"\nlocal.line = { keep_if_free = true }\n[table.patient]\nlocal = [\"file_no\"]\n[leave_out]\nlog = \"a log\"\n",
        )
        .unwrap();
        let sets = |t: &str| c.types.get(t).unwrap().match_on.0.clone();
        assert_eq!(sets("patient"), [["a", "b"]]);
        assert_eq!(sets("doctor"), [["a"], ["b"]]);
        assert_eq!(sets("code item"), [["x"]]);
        let visit = &c.table("VISIT").unwrap().local.0;
        assert_eq!(visit.get("no").unwrap().assign.as_deref(), Some("SELECT 1"));
        assert!(visit.get("line").unwrap().keep_if_free);
        assert!(c.table("patient").unwrap().local.0.contains_key("file_no") && c.left_out("LOG"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let cases = [
            ("use_log = true\n", "cfs.toml, line 4: `use_log` is not a setting; did you mean `use_logs`?"),
            ("[type.patient]\nmatchon = \"x\"\n", "cfs.toml, line 5: `matchon` is not a setting of [type.patient]; did you mean `match_on`?"),
            ("[table.a.local]\nno = { asign = \"x\" }\n", "cfs.toml, line 5: `asign` is not a setting of a local column; did you mean `assign`?"),
            ("[table.a]\nkeys = \"natrual\"\n", "cfs.toml, line 5: unknown variant `natrual`, expected `natural` or `surrogate`"),
            ("[tables.a]\n", "cfs.toml, line 4: `tables` is not a setting; did you mean `table`?"),
            ("[table.a]\nlocal = 4\n", "cfs.toml, line 5: data did not match"),
            ("use_logs = = 1\n", "cfs.toml, line 4: "),
        ];
        for (text, want) in cases {
            let said = parse(text).unwrap_err();
            assert!(said.contains(want) || (want.contains("data did not") && said.contains("line 5: a list of columns")), "{said}");
        }
    }
}
