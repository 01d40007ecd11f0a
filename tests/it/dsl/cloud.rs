//! A cloud between replicas, as clients of the usual kind work: each has a last common state with
//! the server, sends what changed here, fetches what changed there, and makes a copy (or does not)
//! where both changed.

use cloud_folder_sync::folder::memory::{Bytes, Memory};
use std::collections::{BTreeMap, BTreeSet};

/// What a client does where both sides changed a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    Dropbox,
    Syncthing,
    /// No copy: who sends last wins.
    LastWins,
    /// The copy stays where it was made.
    Nextcloud,
    /// Both are renamed.
    Rclone,
    /// Two files of one name: the second is shown with a number.
    Google,
}

/// Picks one of a file's older versions, or none.
pub(crate) type Pick<'p> = &'p mut dyn FnMut(&[Bytes]) -> Option<Bytes>;

/// What happens to one file on its way to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Whole,
    /// Not this time.
    Later,
    /// Only its beginning, so many thousandths, for now.
    Torn(usize),
}

#[derive(Debug, Clone, Default)]
struct Version {
    n: u64,
    bytes: Option<Bytes>,
}

/// The server and every client's last common state with it.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) replicas: Vec<Memory>,
    server: BTreeMap<String, Version>,
    /// What was there before each change, for roll-backs.
    old: BTreeMap<String, Vec<Bytes>>,
    views: Vec<BTreeMap<String, Version>>,
    torn: Vec<BTreeMap<String, Bytes>>,
    pub(crate) copies: Copies,
    made: u64,
    /// How everything was when there was nothing left to carry.
    at_rest: Option<(u64, Vec<i64>)>,
    /// Files that are never sent, by replica.
    home: Vec<BTreeSet<String>>,
}

impl Default for Cloud {
    fn default() -> Self {
        Cloud {
            replicas: Vec::new(),
            server: BTreeMap::new(),
            old: BTreeMap::new(),
            views: Vec::new(),
            torn: Vec::new(),
            copies: Copies::Dropbox,
            made: 0,
            at_rest: None,
            home: Vec::new(),
        }
    }
}

impl Cloud {
    /// One more client, with everything that is on the server.
    pub(crate) fn join(&mut self) -> Memory {
        let m = Memory::new();
        self.replicas.push(m.clone());
        self.views.push(BTreeMap::new());
        self.torn.push(BTreeMap::new());
        self.home.push(BTreeSet::new());
        self.fetch(self.replicas.len() - 1, &mut |_| Way::Whole);
        m
    }

    /// Everything from everyone to everyone.
    pub(crate) fn carry(&mut self) {
        for _ in 0..3 {
            let before = (self.made, self.replicas.iter().map(Memory::moment).collect());
            if self.at_rest.as_ref() == Some(&before) {
                return;
            }
            (0..self.replicas.len()).for_each(|i| self.send(i, &mut |_| true));
            (0..self.replicas.len()).for_each(|i| self.fetch(i, &mut |_| Way::Whole));
            let after = (self.made, self.replicas.iter().map(Memory::moment).collect());
            self.at_rest = (before == after).then_some(after);
        }
    }

    /// Only what a filter lets through, to one replica; the others get nothing.
    pub(crate) fn carry_only(&mut self, to: usize, keep: impl Fn(&str) -> bool) {
        (0..self.replicas.len()).for_each(|i| self.send(i, &mut |_| true));
        self.fetch(to, &mut |p| if keep(p) { Way::Whole } else { Way::Later });
    }

    /// Sends what changed in a replica.
    pub(crate) fn send(&mut self, i: usize, take: &mut dyn FnMut(&str) -> bool) {
        let local = self.replicas[i].held();
        let mut paths: Vec<String> = local.keys().cloned().collect();
        paths.extend(self.views[i].iter().filter(|(p, v)| v.bytes.is_some() && !local.contains_key(*p)).map(|(p, _)| p.clone()));
        for path in paths {
            let here = local.get(&path);
            let seen = self.views[i].get(&path).cloned().unwrap_or_default();
            let half = here.is_some() && self.torn[i].get(&path) == here;
            if here == seen.bytes.as_ref() || half || path.contains("~$") || self.home[i].contains(&path) || !take(&path) {
                continue;
            }
            self.torn[i].remove(&path);
            let there = self.server.get(&path).cloned().unwrap_or_default();
            let clash = there.n != seen.n && there.bytes.as_ref() != here;
            match here {
                // Changed there, deleted here: it comes back.
                None if clash => {
                    self.views[i].remove(&path);
                }
                Some(bytes) if clash && there.bytes.is_some() && self.copies != Copies::LastWins => {
                    let (ours, theirs) = (bytes.clone(), there.bytes.clone().unwrap_or_default());
                    self.clash(i, &path, ours, theirs);
                }
                here => {
                    self.set(&path, here.cloned());
                    self.see(i, &path);
                }
            }
        }
    }

    /// Both sides changed a file.
    fn clash(&mut self, i: usize, path: &str, ours: Bytes, theirs: Bytes) {
        let copy = self.copy_name(path, i);
        match self.copies {
            Copies::Nextcloud => {
                self.replicas[i].put(&copy, ours);
                self.home[i].insert(copy);
                self.replicas[i].put(path, theirs);
                self.see(i, path);
            }
            Copies::Rclone => {
                let other = copy.replace("conflict1", "conflict2");
                for (name, bytes) in [(&copy, ours), (&other, theirs)] {
                    self.replicas[i].put(name, bytes.clone());
                    self.set(name, Some(bytes));
                    self.see(i, name);
                }
                self.replicas[i].take(path);
                self.set(path, None);
                self.see(i, path);
            }
            // The older of the two becomes the copy: mostly who comes last has the newer.
            Copies::Syncthing if !self.made.is_multiple_of(3) => {
                self.replicas[i].put(&copy, theirs.clone());
                self.set(&copy, Some(theirs));
                self.see(i, &copy);
                self.set(path, Some(ours));
                self.see(i, path);
            }
            _ => {
                self.replicas[i].put(&copy, ours.clone());
                self.set(&copy, Some(ours));
                self.see(i, &copy);
                self.replicas[i].put(path, theirs);
                self.see(i, path);
            }
        }
    }

    /// Whether a file is one that a client never sends.
    pub(crate) fn stays_home(&self, path: &str) -> bool {
        self.home.iter().any(|h| h.contains(path))
    }

    /// An older version of a file.
    pub(crate) fn older(&self, path: &str) -> Option<Bytes> {
        self.old.get(path).and_then(|l| l.last().cloned())
    }

    /// A replica shows other bytes than the server has until it fetches the next time.
    pub(crate) fn show_for_now(&mut self, i: usize, path: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.replicas[i].put(path, bytes.clone());
        self.torn[i].insert(path.to_owned(), bytes);
        if let Some(v) = self.views[i].get_mut(path) {
            v.n = 0;
        }
    }

    /// Fetches what changed on the server.
    pub(crate) fn fetch(&mut self, i: usize, way: &mut dyn FnMut(&str) -> Way) {
        let local = self.replicas[i].held();
        let news: Vec<(String, Version)> = self.server.iter().filter(|(p, v)| self.views[i].get(*p).is_none_or(|s| s.n != v.n)).map(|(p, v)| (p.clone(), v.clone())).collect();
        for (path, there) in news {
            let here = local.get(&path);
            let seen = self.views[i].get(&path).and_then(|v| v.bytes.as_ref());
            let half = here.is_some() && self.torn[i].get(&path) == here;
            if here != seen && !half && here != there.bytes.as_ref() {
                // Changed here as well: sending settles it.
                continue;
            }
            match (way(&path), &there.bytes) {
                (Way::Later, _) => {}
                (Way::Torn(part), Some(b)) => {
                    let cut = Bytes::new(b.get(..b.len() * part / 1000).unwrap_or_default().to_vec());
                    self.replicas[i].put(&path, cut.clone());
                    self.torn[i].insert(path, cut);
                }
                (_, Some(b)) => {
                    if here != Some(b) {
                        self.replicas[i].put(&path, b.clone());
                    }
                    self.torn[i].remove(&path);
                    self.see(i, &path);
                }
                (_, None) => {
                    self.replicas[i].take(&path);
                    self.torn[i].remove(&path);
                    self.see(i, &path);
                }
            }
        }
    }

    /// Somebody puts an older version of a file back, or deletes it, on the server.
    pub(crate) fn roll_back(&mut self, pick: Pick<'_>, path: &str) {
        let older = self.old.get(path).cloned().unwrap_or_default();
        let bytes = pick(&older);
        self.set(path, bytes);
    }

    /// A file as it is on the server.
    pub(crate) fn newest(&self, path: &str) -> Option<Bytes> {
        self.server.get(path).and_then(|v| v.bytes.clone())
    }

    /// The client that joined last is gone.
    pub(crate) fn forget_last(&mut self) {
        self.views.pop();
        self.torn.pop();
        self.home.pop();
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.server.iter().filter(|(_, v)| v.bytes.is_some()).map(|(p, _)| p.clone()).collect()
    }

    /// Somebody puts a file on the server, or takes it away.
    pub(crate) fn set(&mut self, path: &str, bytes: Option<Bytes>) {
        self.made += 1;
        let old = self.server.insert(path.to_owned(), Version { n: self.made, bytes });
        if let Some(b) = old.and_then(|v| v.bytes) {
            let list = self.old.entry(path.to_owned()).or_default();
            list.push(b);
            if list.len() > 4 {
                list.remove(0);
            }
        }
    }

    fn see(&mut self, i: usize, path: &str) {
        if let Some(v) = self.server.get(path) {
            self.views[i].insert(path.to_owned(), v.clone());
        }
    }

    fn copy_name(&self, path: &str, i: usize) -> String {
        let (stem, end) = path.rsplit_once('.').unwrap_or((path, ""));
        let n = self.made;
        match self.copies {
            Copies::Syncthing => format!("{stem}.sync-conflict-20260302-{:06}-ABCDEF{i}.{end}", n % 1_000_000),
            Copies::Rclone => format!("{path}.conflict1"),
            Copies::Google => format!("{stem} ({}).{end}", n % 9 + 1),
            Copies::Nextcloud => format!("{stem} (conflicted copy 2026-03-02 {:06}).{end}", n % 1_000_000),
            _ => format!("{stem} (site {i}'s conflicted copy 2026-03-02 {n}).{end}"),
        }
    }
}
