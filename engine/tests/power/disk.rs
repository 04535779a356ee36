//! A disk as the record of what was done to it has it: what is on it for certain, and what a power cut may leave or
//! take of the rest. Names change in the order of the directory changes and are certain once a directory is synced;
//! the bytes of a file are certain once it is synced, and until then any of its writes may be there, or a part of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::record::Event;

/// Bytes that a disk writes together.
const PAGE_BYTES: usize = 4_096;

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// What a running system sees.
    seen: Names,
    /// What is certain.
    certain: Names,
    /// What leads from the one to the other.
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct File {
    certain: Vec<u8>,
    changes: Vec<Bytes>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Write { offset: usize, bytes: Vec<u8> },
    Cut(usize),
}

type Names = BTreeMap<PathBuf, Entry>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    /// By number.
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// What a power cut leaves of what is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Worst,
    /// All: only the process died.
    Best,
    /// Whatever the random numbers say: a part of the changed names; of each file nothing, all, a beginning with a torn
    /// end, or all but a page in the middle.
    Any,
}

impl Disk {
    /// Carries out what happened.
    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Open { path, empties } => match self.seen.get(path) {
                Some(Entry::File(number)) if *empties => self.files[*number].changes.push(Bytes::Cut(0)),
                Some(_) => {}
                None => {
                    self.files.push(File::default());
                    self.change(Change::Add(path.clone(), Entry::File(self.files.len() - 1)));
                }
            },
            Event::Write { path, offset, bytes } => {
                let (offset, bytes) = (usize::try_from(*offset).unwrap(), bytes.clone());
                self.file(path).changes.push(Bytes::Write { offset, bytes });
            }
            Event::Cut { path, length } => {
                let length = usize::try_from(*length).unwrap();
                self.file(path).changes.push(Bytes::Cut(length));
            }
            Event::Sync { path } if matches!(self.seen.get(path), Some(Entry::File(_))) => {
                let file = self.file(path);
                for change in std::mem::take(&mut file.changes) {
                    apply(&mut file.certain, &change);
                }
            }
            Event::Sync { .. } => {
                for change in std::mem::take(&mut self.changes) {
                    rename(&mut self.certain, change);
                }
            }
            Event::SyncFailed { path } if matches!(self.seen.get(path), Some(Entry::File(_))) => {
                self.file(path).changes.clear();
            }
            Event::SyncFailed { .. } | Event::Begun(_) | Event::Acknowledged(_) => {}
            Event::Rename { from, to } => self.change(Change::Rename(from.clone(), to.clone())),
            Event::Link { from, to } => {
                let entry = self.seen[from];
                self.change(Change::Add(to.clone(), entry));
            }
            Event::Remove { path } => self.change(Change::Remove(path.clone())),
            Event::MakeDirectory { path } => self.change(Change::Add(path.clone(), Entry::Directory)),
        }
    }

    fn change(&mut self, change: Change) {
        rename(&mut self.seen, change.clone());
        self.changes.push(change);
    }

    fn file(&mut self, path: &Path) -> &mut File {
        match self.seen.get(path) {
            Some(Entry::File(number)) => &mut self.files[*number],
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    /// Makes a directory of what a power cut leaves.
    pub fn leave(&self, cut: Cut, random: &mut fastrand::Rng, directory: &Path) {
        let mut names = self.certain.clone();
        let kept = match cut {
            Cut::Worst => 0,
            Cut::Best => self.changes.len(),
            Cut::Any => random.usize(..=self.changes.len()),
        };
        self.changes.iter().take(kept).cloned().for_each(|change| rename(&mut names, change));
        // What a file holds does not depend on its name.
        let contents: Vec<_> = self.files.iter().map(|file| file.left(cut, random)).collect();
        for (path, entry) in names {
            let path = directory.join(path);
            match entry {
                Entry::Directory => fs::create_dir_all(path).unwrap(),
                Entry::File(number) => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, &contents[number]).unwrap();
                }
            }
        }
    }
}

impl File {
    /// A page of what was written last that never came to disk.
    fn unwritten_page(&self, random: &mut fastrand::Rng) -> Option<(usize, usize)> {
        let Bytes::Write { offset, bytes } = self.changes.last()? else { return None };
        let at = offset + random.usize(..bytes.len().max(1));
        Some((at - at % PAGE_BYTES, at - at % PAGE_BYTES + PAGE_BYTES))
    }

    fn left(&self, cut: Cut, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.certain.clone();
        let how = match cut {
            Cut::Worst => 0,
            Cut::Best => 1,
            Cut::Any => random.u8(..4),
        };
        if how == 0 || self.changes.is_empty() {
            return bytes;
        }
        if how == 2 {
            let whole = random.usize(..self.changes.len());
            self.changes.iter().take(whole).for_each(|change| apply(&mut bytes, change));
            if let Bytes::Write { offset, bytes: last } = &self.changes[whole] {
                let torn = last[..random.usize(..=last.len())].to_vec();
                apply(&mut bytes, &Bytes::Write { offset: *offset, bytes: torn });
            }
            return bytes;
        }
        self.changes.iter().for_each(|change| apply(&mut bytes, change));
        if how == 3
            && let Some((from, to)) = self.unwritten_page(random)
        {
            for at in from..to.min(bytes.len()) {
                bytes[at] = self.certain.get(at).copied().unwrap_or(0);
            }
        }
        bytes
    }
}

fn apply(file: &mut Vec<u8>, change: &Bytes) {
    match change {
        Bytes::Cut(length) => file.resize(*length, 0),
        Bytes::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*offset..end].copy_from_slice(bytes);
        }
    }
}

fn rename(names: &mut Names, change: Change) {
    match change {
        Change::Add(path, entry) => drop(names.insert(path, entry)),
        Change::Remove(path) => drop(names.remove(&path)),
        Change::Rename(from, to) => {
            let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(&from)).cloned().collect();
            for path in moved {
                let behind = path.strip_prefix(&from).unwrap();
                let new = if behind.as_os_str().is_empty() { to.clone() } else { to.join(behind) };
                let entry = names.remove(&path).unwrap();
                names.insert(new, entry);
            }
        }
    }
}

#[test]
fn only_what_was_synced_is_certain() {
    let path = |name: &str| PathBuf::from(name);
    let write = |offset, bytes: &[u8]| Event::Write { path: path("d/a"), offset, bytes: bytes.to_vec() };
    let mut disk = Disk::default();
    let directory = Event::MakeDirectory { path: path("d") };
    let open = Event::Open { path: path("d/a"), empties: true };
    let syncs = [Event::Sync { path: path("d/a") }, Event::Sync { path: path("d") }];
    [directory, open, write(0, b"one")].iter().chain(&syncs).for_each(|event| disk.happen(event));
    disk.happen(&write(3, b"two"));
    disk.happen(&Event::Rename { from: path("d"), to: path("e") });
    let left = |cut, name: &str| {
        let directory = tempfile::tempdir().unwrap();
        disk.leave(cut, &mut fastrand::Rng::with_seed(1), directory.path());
        fs::read(directory.path().join(name)).ok()
    };
    assert_eq!(left(Cut::Worst, "d/a"), Some(b"one".to_vec()));
    assert_eq!(left(Cut::Worst, "e/a"), None);
    assert_eq!(left(Cut::Best, "e/a"), Some(b"onetwo".to_vec()));
    assert_eq!(left(Cut::Best, "d/a"), None);
    disk.happen(&Event::SyncFailed { path: path("e/a") });
    disk.happen(&Event::Sync { path: path("e/a") });
    let directory = tempfile::tempdir().unwrap();
    disk.leave(Cut::Best, &mut fastrand::Rng::with_seed(1), directory.path());
    assert_eq!(fs::read(directory.path().join("e/a")).unwrap(), b"one", "what a failed sync lost stays lost");
}
