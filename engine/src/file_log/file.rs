//! One file of the log: written around the system's page cache, each write on disk before it returns; read through it.
//!
//! A file is made once, filled with zeros to its size, and used again and again. A write then changes nothing but the
//! bytes themselves: no length, no allocation, nothing that the file system would have to put into its journal. That
//! makes a synced write about twice as fast, and half as dear, as one that makes a file grow.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::record::PAGE;

const FILL_BYTES: usize = 1 << 20;

/// See the file's head.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    writes: File,
    reads: File,
}

impl LogFile {
    /// Makes the file, `bytes` long, and sees to it that its name and its blocks are on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(path: PathBuf, bytes: u64) -> io::Result<LogFile> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let zeros = vec![0; FILL_BYTES];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(FILL_BYTES as u64);
            file.write_all(zeros.get(..part as usize).unwrap_or(&zeros))?;
            left -= part;
        }
        file.sync_all()?;
        drop(file);
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Self::open(path)
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: PathBuf) -> io::Result<LogFile> {
        let open = |flags| OpenOptions::new().write(true).custom_flags(flags).open(&path);
        // Not every file system can write around its cache.
        let writes = match open(libc::O_DSYNC | O_DIRECT) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => open(libc::O_DSYNC)?,
            opened => opened?,
        };
        let reads = File::open(&path)?;
        Ok(LogFile { path, writes, reads })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts whole pages, which begin at a page's beginning in memory as well, on disk.
    ///
    /// # Errors
    /// The disk's; what is there is then unknown.
    pub fn write(&self, pages: &[u8], at: u64) -> io::Result<()> {
        debug_assert!(pages.len().is_multiple_of(PAGE) && at.is_multiple_of(PAGE as u64), "pages are written whole");
        self.writes.write_all_at(pages, at)
    }

    /// Fills `bytes` from the place `at`.
    ///
    /// # Errors
    /// The disk's, or the file ends before.
    pub fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.reads.read_exact_at(bytes, at)
    }

    /// All of it.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }

    /// Whether it is `bytes` long, as when it was made: one larger write makes it longer.
    pub fn is_of_size(&self, bytes: u64) -> bool {
        self.reads.metadata().is_ok_and(|metadata| metadata.len() == bytes)
    }

    /// Gives the space that it takes back.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

#[cfg(target_os = "linux")]
const O_DIRECT: i32 = libc::O_DIRECT;
#[cfg(not(target_os = "linux"))]
const O_DIRECT: i32 = 0;
