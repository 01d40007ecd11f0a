//! `cfs init`: sets up a place.

use super::{Failure, Json, out, text};
use crate::config::{Capture, Config, real};
use crate::folder::Folder as _;
use crate::folder::disk::Disk;
use crate::host::propose::{InitOptions, Settings, propose, render};
use crate::host::resolve::resolve;
use crate::host::schema::Schema;
use crate::synchronizer::heir::find_lost;
use crate::synchronizer::{Synchronizer, open_database, refuse_cloud_folder};
use clap::Args;
use std::path::{Path, PathBuf};

/// Flags of `cfs init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The clinic application's SQLite database.
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    database: Option<PathBuf>,
    /// The folder that a cloud client keeps in step.
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    folder: Option<PathBuf>,
    /// This place's name, as the others shall see it.
    #[arg(long, value_name = "NAME", required_unless_present = "check")]
    site: Option<String>,
    /// Compare cfs.toml with the database, as after an upgrade of the application; changes nothing.
    #[arg(long, conflicts_with_all = ["database", "folder", "site", "root", "match_on", "no_match", "succeeds", "no_triggers", "dry_run"])]
    check: bool,
    /// The table that is the record, where cfs cannot tell. Again, for a table that is a record of its own beside it.
    #[arg(long, value_name = "TABLE")]
    root: Vec<String>,
    /// Columns of the (first) root that say which records of two places are one person.
    #[arg(long, value_name = "COL,…", value_delimiter = ',', conflicts_with = "no_match")]
    match_on: Option<Vec<String>>,
    /// Nobody is at two places: match nothing.
    #[arg(long)]
    no_match: bool,
    /// The place whose computer is lost, by its name: this one takes over, and gets its chart and visit numbers back.
    #[arg(long, value_name = "SITE")]
    succeeds: Option<String>,
    /// Make no triggers in the application's database: each synchronization reads and compares every row (`capture = "scan"`).
    #[arg(long)]
    no_triggers: bool,
    /// Only print what would be set up.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &InitArgs, config: &Path) -> Result<u8, Failure> {
    if args.check {
        return check(args, config);
    }
    let (Some(database), Some(folder), Some(site)) = (&args.database, &args.folder, &args.site) else {
        return Err(Failure::new(2, "init needs --database, --folder and --site"));
    };
    let place = Where { database, folder, site };
    set_up(args, &place, config)
}

/// The three things that every place says of itself.
struct Where<'a> {
    database: &'a Path,
    folder: &'a Path,
    site: &'a str,
}

fn set_up(args: &InitArgs, place: &Where<'_>, config: &Path) -> Result<u8, Failure> {
    refuse_cloud_folder(place.database, place.folder)?;
    let conn = open_database(place.database)?;
    if !place.folder.is_dir() {
        return Err(Failure::new(2, format!("{}: there is no such folder; make it where the cloud client keeps it in step, and run this again", place.folder.display())));
    }
    if place.site.trim().is_empty() {
        return Err(Failure::new(2, "--site needs a name that people at the other places will recognise"));
    }
    let file = if config == Path::new("cfs.toml") { beside(place.database).join("cfs.toml") } else { config.to_owned() };
    let schema = Schema::read(&conn)?;
    let manifest = crate::sync::read_manifest(&Disk::new(place.folder.to_owned())).ok();
    let like = manifest.as_ref().filter(|m| !m.mapping.is_empty()).and_then(|m| Config::of_shared(&m.mapping).ok());
    let options = InitOptions { roots: args.root.clone(), match_on: args.match_on.clone(), no_match: args.no_match, like };
    let mut proposal = propose(&conn, &schema, &options).map_err(|e| Failure::new(e.exit_code(), e.to_string()))?;
    let base = beside(&file);
    proposal.settings = Settings {
        database: relative(place.database, &base),
        folder: relative(place.folder, &base),
        site: place.site.to_owned(),
        capture: if args.no_triggers { Capture::Scan } else { Capture::Triggers },
    };
    joining(args, place.folder, &proposal, &conn)?;
    let lost = args.succeeds.as_ref().map(|name| find_lost(&Disk::new(place.folder.to_owned()), name)).transpose()?;
    let text = render(&proposal);
    if args.json.json {
        out(&serde_json::json!({ "config": file.display().to_string(), "root": proposal.root, "report": proposal.report(), "toml": text, "dry_run": args.dry_run }).to_string());
    } else {
        out(&proposal.report());
    }
    if let (Some(manifest), None) = (&manifest, crate::state::layout(&conn)?) {
        let config = if file.exists() { Config::load(&file)? } else { Config::parse(&text, &file)? };
        let mapping = resolve(&config, &schema, &conn)?;
        crate::sync::differs(manifest, &mapping).map_err(|e| Failure::new(2, e.to_string()))?;
    }
    if args.dry_run {
        return Ok(0);
    }
    if file.exists() {
        // A person may have changed it: what they decided stands.
        let present = Config::load(&file)?;
        if present.site != place.site {
            return Err(Failure::new(2, format!("{} exists already, for the site \"{}\"; move it away, or name another with --config", file.display(), present.site)));
        }
    } else {
        write_new(&file, &text)?;
    }
    drop(conn);
    let s = Synchronizer::open(Config::load(&file)?)?;
    if lost.is_some() {
        s.refuse_to_succeed()?;
    }
    let done = s.set_up()?;
    lost.iter().try_for_each(|lost| s.succeed(lost))?;
    if !args.json.json {
        let folder = if done.new_folder { "a new sync folder" } else { "an existing sync folder" };
        let next = if file == Path::new("./cfs.toml") { "cfs sync".to_owned() } else { format!("cfs --config {} sync", file.display()) };
        let wrote = file.strip_prefix(".").unwrap_or(&file).display();
        let takes_over = lost.map_or_else(String::new, |l| format!("\nIt takes over from \"{}\" ({}), and gives the records the numbers that they had there.", l.name, l.id));
        out(&format!("Wrote {wrote}. \"{}\" is now a site of {folder}.{takes_over}\nLook the mapping over, then run:  {next}", place.site));
    }
    Ok(0)
}

/// `cfs init --check`: 0 if all fits, 4 if there is something to decide.
fn check(args: &InitArgs, config: &Path) -> Result<u8, Failure> {
    let config = Config::load(config)?;
    let conn = open_database(&config.database)?;
    let found = crate::synchronizer::check::check(&config, &conn)?;
    let decide = found.iter().filter(|f| f.decide).count();
    if args.json.json {
        out(&serde_json::json!({ "fits": decide == 0, "findings": found }).to_string());
        return Ok(if decide == 0 { 0 } else { 4 });
    }
    for f in &found {
        out(&text::wrap(&format!("{}  {}", if f.decide { "DECIDE" } else { "new   " }, text::clean(&f.what)), 79, "        "));
        out(&text::wrap(&format!("        → {}", text::clean(&f.fix)), 79, "          "));
        for line in f.toml.iter().flat_map(|t| t.lines()) {
            out(&format!("            {line}"));
        }
    }
    out(&match decide {
        0 => "cfs.toml and the database fit together.".to_owned(),
        n => format!("{} to decide.", text::count(n as u64, "thing")),
    });
    Ok(if decide == 0 { 0 } else { 4 })
}

/// A folder and a database that both hold records need a word on who is who.
fn joining(args: &InitArgs, folder: &Path, proposal: &crate::host::propose::Proposal, conn: &rusqlite::Connection) -> Result<(), Failure> {
    if args.match_on.is_some() || args.no_match {
        return Ok(());
    }
    let folder = Disk::new(folder.to_owned());
    if crate::sync::read_manifest(&folder).is_err() || crate::state::layout(conn)?.is_some() {
        return Ok(());
    }
    let dir = format!("{}/{}", crate::names::RECORDS, crate::names::type_name(&proposal.root));
    let mut there = 0usize;
    for (shard, _) in folder.list(&dir).map_err(crate::sync::Error::from)?.unwrap_or_default() {
        there += folder.list(&format!("{dir}/{shard}")).map_err(crate::sync::Error::from)?.unwrap_or_default().iter().filter(|(n, _)| n.ends_with(".xml")).count();
    }
    let here: i64 = conn.query_row(&format!("SELECT count(*) FROM {}", crate::host::rows::quote(&proposal.root)), [], |r| r.get(0))?;
    let by = proposal.types.iter().find(|t| t.table == proposal.root).and_then(|t| t.match_on.first()).map(|c| c.join(","));
    if here == 0 || there == 0 && by.is_some() {
        return Ok(());
    }
    if there == 0 {
        let what = &proposal.root;
        let message = format!(
            "the folder belongs to other places already, and this database holds {here} of {what}: nothing says who of them is one person with whom there. Say which are one person: --match-on COL (several columns with commas), or --no-match if nobody is at two places"
        );
        return Err(Failure::new(4, message));
    }
    let alike = match &by {
        Some(columns) => {
            let n = crate::alike::count(conn, &folder, proposal, columns)?;
            format!("; {n} of them look like the same people by {columns}")
        }
        None => String::new(),
    };
    let try_this = by.map_or_else(|| "--match-on COL".to_owned(), |c| format!("--match-on {c}"));
    Err(Failure::new(
        4,
        format!(
            "the folder holds {there} records of {} and this database {here}{alike}. Say which are one person: {try_this} (several columns with commas), or --no-match if nobody is at two places",
            proposal.root
        ),
    ))
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let fail = |e: std::io::Error| Failure::new(1, format!("{} cannot be written: {e}", file.display()));
    let mut f = std::fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(fail)?;
    f.write_all(text.as_bytes()).and_then(|()| f.sync_all()).map_err(fail)
}

fn beside(file: &Path) -> PathBuf {
    match file.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A path as it is to stand in a file of `base`: relative where it lies below it, else absolute.
fn relative(path: &Path, base: &Path) -> String {
    let (path, base) = (real(path), real(base));
    path.strip_prefix(&base).map_or_else(|_| path.display().to_string(), |p| p.display().to_string())
}
