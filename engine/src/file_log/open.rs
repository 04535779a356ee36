//! Opening: finds the files that are the log, reads them from the oldest on, and begins a new one behind the last whole
//! record. What a crash has torn off was never said to be on disk.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::FileLogOptions;
use super::file::LogFile;
use super::index::Index;
use super::log::{Log, UsedFile};
use super::record::{FRAME_BYTES, Head, PAGE, payload_at};
use crate::{Error, Result, marker};

const FORMAT: &str = "nokv raft log, format 1\n";
const SUFFIX: &str = ".raft";

/// The name of a file; names say nothing of order.
pub fn file_name(name: u64) -> String {
    format!("{name:06}{SUFFIX}")
}

/// Opens the log in `directory`, made if it is not there.
///
/// # Errors
/// [`Error::Open`] if it is none of ours, [`Error::Disk`], or [`Error::Corrupt`] or [`Error::CorruptFile`] if something
/// is missing that was on disk.
pub fn open(directory: &Path, options: FileLogOptions) -> Result<Log> {
    let refuse = |reason: String| Error::Open { path: directory.display().to_string(), reason };
    marker::claim(directory, FORMAT).map_err(refuse)?;
    let disk = |error: std::io::Error| Error::Disk(format!("raft log in {}: {error}", directory.display()));
    let (mut used, mut unused) = (Vec::new(), Vec::new());
    let mut next_name = 1;
    for entry in fs::read_dir(directory).map_err(disk)? {
        let path = entry.map_err(disk)?.path();
        let Some(name) = name_of(&path) else { continue };
        next_name = next_name.max(name + 1);
        let file = LogFile::open(path).map_err(disk)?;
        let mut page = [0; PAGE];
        // One that is shorter was never used.
        let head = file.read(&mut page, 0).ok().and_then(|()| Head::decode(&page));
        match head {
            Some(head) => used.push((head, file)),
            None => unused.push(file),
        }
    }
    used.sort_by_key(|(head, _)| head.number);
    let (index, files, next_record) = replay(used)?;
    // Half-made ones among them, and not to be told apart.
    for file in unused {
        file.remove().map_err(disk)?;
    }
    Log::begin(directory.to_owned(), options, (index, files), next_record, next_name)
}

fn name_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.parse().ok()
}

/// Reads all records; returns the number of the next one as well.
fn replay(used: Vec<(Head, LogFile)>) -> Result<(Index, VecDeque<UsedFile>, u64)> {
    let (mut index, mut files) = (Index::default(), VecDeque::new());
    let heads: Vec<Head> = used.iter().map(|(head, _)| *head).collect();
    let mut next_record = heads.first().map_or(1, |head| head.first_record);
    let oldest = heads.first().map_or(1, |head| head.number);
    for ((place, number), (head, file)) in (oldest..).enumerate().zip(used) {
        if (head.number, head.first_record) != (number, next_record) {
            let path = file.path().display();
            let reason = format!("{path}: records before number {} are missing", head.first_record);
            return Err(Error::CorruptFile(reason));
        }
        // Behind the first record of the next file is what a crash had torn off, should it be there again.
        let end = heads.get(place + 1).map_or(u64::MAX, |next| next.first_record);
        index.begin_file(head.number);
        let bytes = file.read_all().map_err(|error| Error::Disk(format!("{}: {error}", file.path().display())))?;
        next_record = replay_file(&bytes, head, end, &mut index)?;
        files.push_back(UsedFile { number: head.number, file: Arc::new(file) });
    }
    index.check_whole()?;
    Ok((index, files, next_record))
}

fn replay_file(bytes: &[u8], head: Head, end: u64, index: &mut Index) -> Result<u64> {
    let (mut at, mut record) = (PAGE, head.first_record);
    while record < end
        && let Some(payload) = bytes.get(at..).and_then(|rest| payload_at(head.salt, record, rest))
    {
        let place = u32::try_from(at + FRAME_BYTES).map_err(|_| Error::Corrupt { what: "raft log: a file's size" })?;
        index.apply(payload, head.number, place)?;
        at += FRAME_BYTES + payload.len();
        record += 1;
    }
    Ok(record)
}
