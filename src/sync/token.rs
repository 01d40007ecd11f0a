//! One random token in the database and in a small file outside it: a database restored from a
//! backup, or copied, finds another token there, and takes a new site id before it stamps anything.
//! So does a site that was retired and synchronizes again.

use super::{Engine, Error};
use crate::names;
use crate::planted;
use crate::state::State;
use crate::xml::{MAX_FILE_BYTES, hex};
use rusqlite::Connection;

/// Keeps the small file outside the database.
pub trait Keeper {
    /// The tokens kept for a database: one, or two while a sync is committing.
    fn read(&self, database: &str) -> Result<Vec<String>, Error>;
    /// Keeps tokens for a database, durably.
    fn write(&self, database: &str, tokens: &[String]) -> Result<(), Error>;
    /// Where that is, to be noted in the database file: only of a directory that is one account's own on a computer
    /// that can be told from others.
    fn place(&self, _file: &str) -> Option<String> {
        None
    }
    /// The directory in which another account of this computer keeps the tokens of this very file, by what was noted there.
    fn elsewhere(&self, _database: &str, _file: &str, _noted: &str) -> Option<String> {
        None
    }
}

/// Keeps nothing and trusts every database: for looking only.
#[derive(Debug, Clone, Copy)]
pub struct NoKeeper;

impl Keeper for NoKeeper {
    fn read(&self, _database: &str) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn write(&self, _database: &str, _tokens: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

/// Why a database cannot go on under its site id.
enum Reason {
    /// It is not what last synchronized under it.
    Copy(&'static str),
    /// Another one stamps under it as well.
    Fork,
    /// A person at that site retired it: nobody waits for it, or keeps a log for it, any more.
    Retired(String),
}

impl Engine<'_> {
    /// Finds out whether this database is the one that last synchronized under its site id, and
    /// whether the others still count on that id. Gives whether it took a new one.
    pub(super) fn ensure_identity(&mut self) -> Result<bool, Error> {
        let database = hex(&self.state.meta::<Vec<u8>>("database")?.unwrap_or_default());
        let mut token: String = self.state.meta("token")?.unwrap_or_default();
        let mut kept = self.keeper.read(&database)?;
        let stamped = self.state.meta::<i64>("clock_ms")?.is_some();
        let seq: i64 = self.state.meta("seq")?.unwrap_or(0);
        if kept.is_empty() {
            check_account(self.conn, &self.state, self.keeper, &database)?;
        }
        if token.is_empty() && kept.is_empty() && !stamped {
            // Just set up: from now on a copy of this database can be told from it. One that was made before has the
            // same name and nothing to tell it by: so neither stamps under that.
            let new = format!("{}{}", self.env.random.hex(), self.env.random.hex());
            self.keeper.write(&database, std::slice::from_ref(&new))?;
            self.site = self.env.random.uuid();
            self.lock()?;
            self.state.set_meta("site", self.site.as_bytes().to_vec())?;
            self.state.set_meta("token", new.clone())?;
            self.note_place()?;
            self.unlock()?;
            token = new;
            kept = vec![token.clone()];
        }
        let reason = if !kept.contains(&token) && !planted::bug("clone-not-noticed") {
            Reason::Copy(if kept.is_empty() {
                "the state file outside it is missing (a copied or moved database, or another computer)"
            } else {
                "it is older than its last synchronization (a restored backup or a copy)"
            })
        } else if self.state.meta::<i64>("fork")?.unwrap_or(0) != 0 || !self.newest_is_ours(seq.unsigned_abs())? {
            Reason::Fork
        } else if let Some(by) = self.sites()?.into_iter().find(|s| s.retired.contains(&self.site)) {
            Reason::Retired(by.name)
        } else {
            return Ok(false);
        };
        let old = self.site;
        let new = self.env.random.uuid();
        let database: Vec<u8> = self.env.random.uuid().as_bytes().to_vec();
        self.lock()?;
        self.state.set_meta("site", new.as_bytes().to_vec())?;
        self.state.set_meta("site_before", old.as_bytes().to_vec())?;
        self.state.set_meta("database", database)?;
        self.state.set_meta("seq", 0)?;
        self.state.set_meta("seq_hash", "")?;
        self.state.set_meta("announced", 0)?;
        self.state.set_meta("oldest", 1)?;
        self.state.set_meta("full_ms", -1)?;
        // Numbers of the old log, which would be taken for those of the new one.
        self.state.set_meta("withdrawn", "")?;
        // Its own old log is read like any other site's from where the database knows it.
        let peer = crate::state::Peer { upto: 0, ..Default::default() };
        self.state.save_peer(&old, &peer)?;
        // Segments decided but not delivered go under the new name: what they say is in the state.
        let undelivered: Vec<Vec<u8>> = {
            let mut q = self.conn.prepare("SELECT bytes FROM cfs_segment ORDER BY seq")?;
            let rows = q.query_map([], |r| r.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for bytes in undelivered {
            if let Ok((s, _)) = crate::log::Segment::read(&bytes, &self.manifest.folder) {
                s.items.iter().try_for_each(|item| self.state.push_item(item))?;
            }
        }
        self.conn.execute("DELETE FROM cfs_segment", [])?;
        self.state.set_meta("fork", 0)?;
        self.unlock()?;
        self.site = new;
        self.report.notices.push(match &reason {
            Reason::Copy(why) => looks_copied(why, new),
            Reason::Fork => looks_copied("somebody else writes under its name (a copied computer, or a log that is not the one it wrote)", new),
            Reason::Retired(by) => format!(
                "this site was retired at \"{by}\". It is in use after all and goes on as a new site of the same name ({new}): every file is looked at, what was typed here meanwhile is sent, and nothing is lost"
            ),
        });
        self.ticked = true;
        self.renew_token()?;
        if matches!(reason, Reason::Fork) {
            self.stamp_again(old)?;
        }
        Ok(true)
    }

    /// Two copies wrote under one name: their stamps say nothing any more. Everything of ours is
    /// stamped again under the new name, and nothing under the old one counts as seen.
    ///
    /// The records are named, not sent as deltas: a delta would say that the old stamps were seen.
    fn stamp_again(&mut self, old: crate::id::SiteId) -> Result<(), Error> {
        let bulk = std::mem::replace(&mut self.bulk, true);
        for id in self.state.all(None)? {
            let Some(mut s) = self.state.load(&id)? else { continue };
            if !s.known.version.0.contains_key(&old) {
                continue;
            }
            let before = s.known.clone();
            crate::merge::restamp(&mut s.known, &old, self.site);
            if let Some(a) = &mut s.applied {
                crate::merge::restamp(a, &old, self.site);
            }
            let drawn = self.easel.draw(&s.known)?;
            self.lock()?;
            let n = self.state.save(&id, &s, drawn.packed, self.now())?;
            self.lookup.forget_rows(&id);
            self.state.set_file(n, None, None, true)?;
            if let Some(d) = crate::merge::delta_between(&before, &s.known) {
                self.send(&id, &d, &s, &drawn.hash)?;
            }
            self.unlock()?;
        }
        self.bulk = bulk;
        Ok(())
    }

    /// Whether the folder's newest segment under our name is the one we wrote, and the last.
    fn newest_is_ours(&mut self, seq: u64) -> Result<bool, Error> {
        let decided: i64 = self.conn.query_row("SELECT count(*) FROM cfs_segment", [], |r| r.get(0))?;
        let upto = seq.saturating_sub(decided.unsigned_abs());
        if self.folder.stat(&names::log_path(&self.site, seq + 1))?.is_some() {
            return Ok(false);
        }
        if upto == 0 || decided > 0 {
            return Ok(true);
        }
        let hash: String = self.state.meta("seq_hash")?.unwrap_or_default();
        match self.folder.read(&names::log_path(&self.site, upto), MAX_FILE_BYTES)? {
            Some(bytes) => Ok(crate::xml::seal_of(&bytes) == hash),
            // Compacted, or lost by the cloud client: the record files cover it.
            None => Ok(true),
        }
    }

    /// Before the first stamp of a sync is committed: a new token, kept outside beside the old one.
    pub(super) fn renew_token(&mut self) -> Result<(), Error> {
        if !self.ticked || self.token_renewed {
            return Ok(());
        }
        let database = hex(&self.state.meta::<Vec<u8>>("database")?.unwrap_or_default());
        let old: String = self.state.meta("token")?.unwrap_or_default();
        let new = format!("{}{}", self.env.random.hex(), self.env.random.hex());
        self.keeper.write(&database, &[old, new.clone()])?;
        self.lock()?;
        self.state.set_meta("token", new)?;
        self.note_place()?;
        self.state.set_meta("clock_ms", self.clock.last.ms.cast_signed())?;
        self.unlock()?;
        self.token_renewed = true;
        Ok(())
    }

    /// Notes where the tokens are kept.
    fn note_place(&self) -> Result<(), Error> {
        let place = self.conn.path().and_then(|file| self.keeper.place(file)).unwrap_or_default();
        if self.state.meta::<String>("kept_at")?.unwrap_or_default() != place {
            self.state.set_meta("kept_at", place)?;
        }
        Ok(())
    }

    /// After everything is committed: only the new token is kept.
    pub(super) fn settle_token(&mut self) -> Result<(), Error> {
        if !self.token_renewed {
            return Ok(());
        }
        let database = hex(&self.state.meta::<Vec<u8>>("database")?.unwrap_or_default());
        let token: String = self.state.meta("token")?.unwrap_or_default();
        self.keeper.write(&database, &[token])
    }
}

/// Refuses a database of which nothing is kept here where another account of this computer synchronizes it: each would take it for a copy that the other
/// made, and be a new site every time.
pub(crate) fn check_account(conn: &Connection, state: &State<'_>, keeper: &dyn Keeper, database: &str) -> Result<(), Error> {
    let noted: String = state.meta("kept_at")?.unwrap_or_default();
    let elsewhere = conn.path().and_then(|file| keeper.elsewhere(database, file, &noted));
    elsewhere.map_or(Ok(()), |dir| Err(Error::OtherAccount { dir }))
}

fn looks_copied(why: &str, new: crate::id::SiteId) -> String {
    format!("this database looks restored or copied: {why}. It goes on as a new site ({new}); nothing was undone and nothing typed here is lost")
}
