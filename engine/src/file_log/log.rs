//! The log while it is open: records are added to its end in memory, and taken to disk by whoever wants them synced,
//! together with what others have added by then.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::FileLogOptions;
use super::file::LogFile;
use super::index::{Index, Slot};
use super::record::{self, FRAME_BYTES, Head, PAGE};
use super::tail::{Tail, Taken};
use crate::failure::Failure;
use crate::{Error, LogEntry, LogOp, Result};

/// What is added without being synced is taken to disk when it is more than this.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// All of it but the thread that keeps it.
#[derive(Debug)]
pub struct Log {
    pub(super) directory: PathBuf,
    pub(super) options: FileLogOptions,
    pub(super) state: Mutex<State>,
    /// For the keeper: there may be something to do.
    pub(super) work: Condvar,
    /// Held while anything is written. Taken before `state`.
    writing: Mutex<()>,
    failure: Failure,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    pub(super) index: Index,
    /// Oldest first. The last one is written to.
    pub(super) files: VecDeque<UsedFile>,
    tail: Tail,
    salt: u32,
    /// What has to be written, before the tail.
    waiting: Vec<(Arc<LogFile>, Taken)>,
    /// File and place up to which all is on disk.
    synced: (u32, u64),
    /// Number of the next record.
    next_record: u64,
    /// Files for later use.
    pub(super) spare: Vec<LogFile>,
    /// In use no more, but perhaps being read.
    pub(super) retired: Vec<Arc<LogFile>>,
    /// The part of the name of the next new file.
    pub(super) next_name: u64,
    pub(super) is_closing: bool,
    payload: Vec<u8>,
}

/// A file that is part of the log.
#[derive(Debug)]
pub struct UsedFile {
    pub(super) number: u32,
    pub(super) file: Arc<LogFile>,
}

impl Log {
    /// The log behind what `index` and `files` hold; begins a file.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn begin(
        directory: PathBuf,
        options: FileLogOptions,
        (index, files): (Index, VecDeque<UsedFile>),
        next_record: u64,
        next_name: u64,
    ) -> Result<Log> {
        let state = State {
            index,
            files,
            tail: Tail::new(),
            salt: 0,
            waiting: Vec::new(),
            synced: (0, 0),
            next_record,
            spare: Vec::new(),
            retired: Vec::new(),
            next_name,
            is_closing: false,
            payload: Vec::new(),
        };
        let failure = Failure::default();
        let (state, work, writing) = (Mutex::new(state), Condvar::new(), Mutex::new(()));
        let log = Log { directory, options, state, work, writing, failure };
        log.begin_file(&mut log.state.lock())?;
        Ok(log)
    }

    /// Adds `ops` as one record; with `sync`, returns when it is on disk.
    ///
    /// # Errors
    /// [`Error::Disk`]: nothing can be written any more.
    pub fn write(&self, ops: &[LogOp], sync: bool) -> Result<()> {
        let mut state = self.state.lock();
        self.failure.check()?;
        let mut payload = std::mem::take(&mut state.payload);
        payload.clear();
        for (place, op) in ops.iter().enumerate() {
            if let LogOp::Append { group, entries, .. } = op
                && let Some(first) = entries.first().map(|entry| entry.index)
                && state.index.bounds(*group).is_some_and(|(_, last)| last + 1 < first)
                && !ops.iter().take(place).any(|earlier| earlier.group() == *group)
            {
                // What would have a gap behind it is of no use.
                record::put_cut(&mut payload, *group, first);
            }
            record::put_op(&mut payload, op);
        }
        let added = self.add(&mut state, &payload);
        state.payload = payload;
        added?;
        let (end, waits) = (state.end(), state.tail.waiting() > WAITING_BYTES_MAX);
        drop(state);
        if sync || waits { self.sync(end) } else { Ok(()) }
    }

    /// Adds a record.
    pub(super) fn add(&self, state: &mut State, payload: &[u8]) -> Result<()> {
        if payload.is_empty() {
            return Ok(());
        }
        let bytes = (FRAME_BYTES + payload.len()) as u64;
        if state.tail.end() > PAGE as u64 && state.tail.end() + bytes > self.options.file_bytes {
            self.begin_file(state)?;
        }
        let frame = record::frame(state.salt, state.next_record, payload);
        state.tail.extend(&frame);
        let at = u32::try_from(state.tail.end()).map_err(|_| too_large())?;
        let number = state.number();
        state.index.apply(payload, number, at).map_err(|error| self.failure.remember(error))?;
        state.tail.extend(payload);
        state.next_record += 1;
        Ok(())
    }

    /// Goes on in another file. What is in the one before is written first, by whoever writes next.
    fn begin_file(&self, state: &mut State) -> Result<()> {
        if let (Some(taken), Some(last)) = (state.tail.take(), state.files.back()) {
            state.waiting.push((last.file.clone(), taken));
        }
        let file = match state.spare.pop() {
            Some(file) => file,
            None => self.create(&mut state.next_name)?,
        };
        let number = state.number() + 1;
        state.salt = RandomState::new().hash_one(number) as u32;
        state.files.push_back(UsedFile { number, file: Arc::new(file) });
        state.index.begin_file(number);
        state.tail = Tail::new();
        state.tail.extend(&Head { number, salt: state.salt, first_record: state.next_record }.encode());
        self.work.notify_one();
        Ok(())
    }

    /// Makes a file.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(super) fn create(&self, next_name: &mut u64) -> Result<LogFile> {
        let path = self.directory.join(super::open::file_name(*next_name));
        *next_name += 1;
        LogFile::create(path, self.options.file_bytes).map_err(|error| self.failed(&error))
    }

    /// Returns when everything up to the place `end` of a file is on disk.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub(super) fn sync(&self, end: (u32, u64)) -> Result<()> {
        let _writing = self.writing.lock();
        let mut state = self.state.lock();
        self.failure.check()?;
        if state.synced >= end {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut state.waiting);
        if let (Some(taken), Some(last)) = (state.tail.take(), state.files.back()) {
            waiting.push((last.file.clone(), taken));
        }
        let end = state.end();
        drop(state);
        for (file, taken) in &waiting {
            file.write(taken.pages.whole(), taken.at).map_err(|error| self.failed(&error))?;
        }
        let mut state = self.state.lock();
        state.synced = end;
        if let Some((_, taken)) = waiting.pop() {
            state.tail.recycle(taken.pages);
        }
        Ok(())
    }

    /// Returns when everything is on disk.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn sync_all(&self) -> Result<()> {
        let end = self.state.lock().end();
        self.sync(end)
    }

    /// Remembers that writing failed, once and for all.
    pub(super) fn failed(&self, error: &io::Error) -> Error {
        self.failure.remember(Error::Disk(format!("raft log in {}: {error}", self.directory.display())))
    }

    /// As `RaftLog::entries`.
    ///
    /// # Errors
    /// As there.
    pub fn entries(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Result<Vec<LogEntry>> {
        let missing = Error::Corrupt { what: "raft log: an entry is missing" };
        let slots = self.state.lock().index.slots(group, low, high, bytes_max);
        let read = match slots {
            None if low >= high => return Ok(Vec::new()),
            slots => self.read(group, low, &slots.ok_or(missing)?)?,
        };
        Ok((low..).zip(read).map(|(index, encoded)| LogEntry { index, encoded }).collect())
    }

    /// The entries from `low` on that were last seen at `slots`.
    pub(super) fn read(&self, group: u64, low: u64, slots: &[Slot]) -> Result<Vec<Bytes>> {
        let mut read = Vec::with_capacity(slots.len());
        for (index, slot) in (low..).zip(slots) {
            read.push(self.read_one(group, index, *slot)?);
        }
        Ok(read)
    }

    fn read_one(&self, group: u64, index: u64, mut slot: Slot) -> Result<Bytes> {
        loop {
            let mut state = self.state.lock();
            let end = (slot.file, u64::from(slot.at) + u64::from(slot.len));
            if state.synced < end {
                drop(state);
                self.sync(end)?;
                state = self.state.lock();
            }
            let Some(file) = state.file(slot.file) else {
                // It was moved meanwhile.
                let found = state.index.slots(group, index, index + 1, 0).and_then(|slots| slots.first().copied());
                match found {
                    Some(now) if now != slot => slot = now,
                    _ => return Err(Error::Corrupt { what: "raft log: an entry is missing" }),
                }
                continue;
            };
            drop(state);
            let mut bytes = vec![0; slot.len as usize];
            file.read(&mut bytes, u64::from(slot.at)).map_err(|error| self.failed(&error))?;
            if crc32fast::hash(&bytes) != slot.checksum {
                let path = file.path().display();
                return Err(Error::CorruptFile(format!("{path}: entry {index} of group {group} has other bytes")));
            }
            return Ok(bytes.into());
        }
    }
}

impl State {
    fn number(&self) -> u32 {
        self.files.back().map_or(0, |last| last.number)
    }

    pub(super) fn end(&self) -> (u32, u64) {
        (self.number(), self.tail.end())
    }

    fn file(&self, number: u32) -> Option<Arc<LogFile>> {
        let place = number.checked_sub(self.files.front()?.number)?;
        Some(self.files.get(usize::try_from(place).ok()?)?.file.clone())
    }
}

fn too_large() -> Error {
    Error::Disk("raft log: a write is larger than 4 GiB".to_owned())
}
