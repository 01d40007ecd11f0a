//! The story that the demo tells, step by step; every number in it is read, none is made up.

use super::{Demo, Next, Place, SOUTH, quoted};
use crate::folder::Folder;
use crate::names;
use crate::synchronizer::Error;
use crate::xml::MAX_FILE_BYTES;
use std::path::Path;

const OTTOLINE: &str = "national_id = 'ZZ100001'";
const CASIMIR: &str = "national_id = 'ZZ100002'";

pub(super) fn tell(demo: &mut Demo<'_>, dir: &Path, north: Place) -> Result<Vec<Next>, Error> {
    let patients = "SELECT cast(count(*) AS TEXT) FROM patient";
    let key = |p: &Place, who: &str| p.see(&format!("SELECT cast(id AS TEXT) FROM patient WHERE {who}"));
    let first = north.sync()?;
    demo.step(
        "The North clinic makes the folder",
        vec![format!(
            "{} patients are in its database. Its first sync wrote {} files: one for each patient, and for each doctor and code that patients point to.",
            north.see(patients)?,
            first.files_written
        )],
    );

    let south = Place::set_up(dir, "South", SOUTH)?;
    let had = south.see(patients)?;
    let joined = south.sync()?;
    let back = north.sync()?;
    south.sync()?;
    demo.step("The South clinic joins, with patients of its own", vec![
        format!("It had {had} patients. It received {} records, and North received {}. Both now have {} patients, not 24: three people are at both clinics, known by their national id, and are one record each.", joined.imported, back.imported, south.see(patients)?),
        format!("Ottoline Brackenridge is patient {} at North and patient {} at South. Such numbers never travel: every reference to them is translated.", key(&north, OTTOLINE)?, key(&south, OTTOLINE)?),
    ]);

    north.app(&format!("UPDATE patient SET phone = '555 7000' WHERE {OTTOLINE}"))?;
    let sent = north.sync()?;
    let got = south.sync()?;
    demo.step("A change travels", vec![
        format!("North's application wrote Ottoline's new phone number; a trigger noted the row. North's sync wrote {} small files ({} bytes), South's read {}. South's application now shows {}.", sent.files_written, sent.bytes_written, got.files_read, south.see(&format!("SELECT phone FROM patient WHERE {OTTOLINE}"))?),
    ]);

    north.app(&format!("UPDATE patient SET address = '8 Beacon Hill' WHERE {OTTOLINE}"))?;
    south.app(&format!("UPDATE patient SET blood_group = 'A-' WHERE {OTTOLINE}"))?;
    rounds(&north, &south)?;
    let both = |p: &Place| p.see(&format!("SELECT address || ', ' || blood_group FROM patient WHERE {OTTOLINE}"));
    demo.step(
        "Both edit the same patient: different fields",
        vec![format!(
            "North wrote the address, South the blood group, before either had heard of the other. Both live: North shows \"{}\", South \"{}\".",
            both(&north)?,
            both(&south)?
        )],
    );

    north.app(&format!("UPDATE patient SET phone = '555 7111' WHERE {CASIMIR}"))?;
    south.app(&format!("UPDATE patient SET phone = '555 7222' WHERE {CASIMIR}"))?;
    rounds(&north, &south)?;
    let phone = |p: &Place| p.see(&format!("SELECT phone FROM patient WHERE {CASIMIR}"));
    let conflicts = north.s.conflicts(None)?;
    let lost = conflicts.iter().flat_map(|c| &c.superseded).map(|v| v.value.clone()).collect::<Vec<_>>().join(", ");
    demo.step("Both edit the same patient: the same field", vec![
        format!("Each wrote another phone number for Casimir Pemberwick. The later one is shown at both ({}, {}); the other, {lost}, is kept as a superseded value at both until a person decides. `cfs conflicts` lists it.", phone(&north)?, phone(&south)?),
    ]);

    conflict_file(demo, &north, &south)?;

    north.app(&format!("DELETE FROM patient WHERE {CASIMIR}"))?;
    let gone = north.see(patients)?;
    let again = north.sync()?;
    demo.step(
        "A DELETE in the application comes back",
        vec![format!(
            "North's application deleted Casimir: {gone} patients. That alone deletes nothing anywhere: its next sync brought {} rows back, and there are {} patients again.",
            again.restored,
            north.see(patients)?
        )],
    );

    let amadou = "last_name = 'Hollowell'";
    let id = north.s.find(&format!("patient:{}", key(&north, amadou)?))?;
    north.order(north.s.delete(id, None, "moved abroad")?)?;
    let after = north.see(patients)?;
    south.sync()?;
    let there = south.see(patients)?;
    let trash = south.s.trash(None)?.iter().filter(|t| t.name.record == id.to_string()).map(|t| t.rows).sum::<usize>();
    south.order(south.s.restore(id, None)?)?;
    north.sync()?;
    demo.step("`cfs delete` deletes everywhere, and the trash gives back", vec![
        format!("North deleted Amadou Hollowell with `cfs delete`: {after} patients at North, {there} at South. South had his chart ({trash} rows) in the trash and restored it with `cfs trash restore`: {} at South, {} at North.", south.see(patients)?, north.see(patients)?),
    ]);

    rounds(&north, &south)?;
    let quiet = north.sync()?.files_written + south.sync()?.files_written;
    let mut silent = |_: &'static str, _: u64, _: u64| {};
    let (a, b) = (north.s.verify(&mut silent)?, south.s.verify(&mut silent)?);
    demo.step(
        "At rest",
        vec![format!(
            "One more sync at each clinic wrote {quiet} files. `cfs verify` read all {} records, their files and the logs at both clinics: {} differences.",
            a.records,
            a.differences.len() + b.differences.len()
        )],
    );
    next(dir, &north, &south)
}

/// As often as it takes for all to be everywhere.
fn rounds(north: &Place, south: &Place) -> Result<(), Error> {
    for p in [north, south, north, south] {
        p.sync()?;
    }
    Ok(())
}

/// A cloud client puts a conflict file into the folder: what South had written, under Dropbox's name.
fn conflict_file(demo: &mut Demo<'_>, north: &Place, south: &Place) -> Result<(), Error> {
    let who = "last_name = 'Fennimore'";
    let id = south.s.find(&format!("patient:{}", south.see(&format!("SELECT cast(id AS TEXT) FROM patient WHERE {who}"))?))?;
    let path = names::record_path("patient", &id);
    let folder = north.s.folder();
    let before = folder.read(&path, MAX_FILE_BYTES)?.unwrap_or_default();
    south.app(&format!("UPDATE patient SET address = '2 Foxglove Yard' WHERE {who}"))?;
    south.sync()?;
    let written = folder.read(&path, MAX_FILE_BYTES)?.unwrap_or_default();
    let copy = path.replace(".xml", " (South's conflicted copy 2026-11-22).xml");
    let mut random = crate::sync::Env::system().random;
    folder.write(&[(copy.clone(), written), (path, before)], &mut || random.hex()).into_iter().try_for_each(|r| r.map(|_| ()))?;
    let report = north.sync()?;
    let left = folder.stat(&copy)?.is_some();
    demo.step("The cloud client makes a conflict file", vec![
        "South wrote a new address for Jolyon Fennimore; then the file was put back as it was before, and South's version laid beside it as \"… (South's conflicted copy 2026-11-22).xml\", as Dropbox does.".to_owned(),
        format!("North's sync found {} conflict file, merged it and {}. North shows the address {}.", report.conflict_files.found, if left { "kept it" } else { "removed it" }, north.see(&format!("SELECT address FROM patient WHERE {who}"))?),
    ]);
    Ok(())
}

fn next(dir: &Path, north: &Place, south: &Place) -> Result<Vec<Next>, Error> {
    let next = |what: &str, command: String| Next { what: what.to_owned(), command };
    let casimir = north.s.find(&format!("patient:{}", north.see(&format!("SELECT cast(id AS TEXT) FROM patient WHERE {CASIMIR}"))?))?;
    let file = dir.join("folder").join(names::record_path("patient", &casimir));
    Ok(vec![
        next("How things stand at South:", south.command("status")),
        next("What happened, field by field:", north.command("log --last 5")),
        next("The superseded phone number, and how to decide:", north.command("conflicts")),
        next("One chart as folder and database have it:", south.command(&format!("show {}", &casimir.to_string()[..8]))),
        next("Its file in the folder:", format!("{} {}", if cfg!(windows) { "notepad" } else { "less" }, quoted(&file))),
        next("Edit South's database with any program, then:", format!("{} && {}", south.command("sync"), north.command("sync"))),
        next("What would go wrong here:", north.command("doctor")),
    ])
}
