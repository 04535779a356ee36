//! Imports as tables of RocksDB's own format, written aside and linked in.
//!
//! ```text
//!   imports/NAME.tmp/ 2-0.sst 2-1.sst …   being prepared; removed when the database is opened
//!   imports/NAME/                         finished: renamed, and every file and directory synced
//!   imports/NAME/taking-in/               links that RocksDB moves into its own directory
//! ```

use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{IngestExternalFileOptions, SstFileWriter};

use super::engine::{RocksEngine, Shared};
use super::error::from_rocks;
use crate::import::{NO_SUCH_IMPORT, OrderCheck};
use crate::{Cf, Error, Importer, Result, WriteBatch, WriteOp};

const FOLDER: &str = "imports";
const UNFINISHED: &str = ".tmp";
const LINKS: &str = "taking-in";

/// Added keys are kept in memory up to about this many bytes, and then written out as one table for each column family.
const TABLE_BYTES: usize = 16 << 20;

/// See [`RocksEngine`].
struct RocksImporter {
    shared: Arc<Shared>,
    name: String,
    order: OrderCheck,
    /// Puts that are in no table yet.
    waiting: WriteBatch,
    tables: usize,
}

impl RocksEngine {
    pub(super) fn begin_import(&self, name: &str) -> Result<Box<dyn Importer>> {
        self.remove_import(name)?;
        fs::create_dir_all(self.shared.unfinished(name)).map_err(|error| disk(&error))?;
        Ok(Box::new(RocksImporter {
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
            order: OrderCheck::default(),
            waiting: WriteBatch::new(),
            tables: 0,
        }))
    }

    pub(super) fn remove_import(&self, name: &str) -> Result<()> {
        remove(&self.shared.unfinished(name))?;
        remove(&self.shared.finished(name))
    }

    pub(super) fn finished_imports(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> =
            entries(&self.shared.imports())?.into_iter().filter(|name| !name.ends_with(UNFINISHED)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Puts the tables of the import into the database. The range is clear already.
    pub(super) fn take_in(&self, name: &str) -> Result<()> {
        let finished = self.shared.finished(name);
        if !finished.is_dir() {
            return Err(NO_SUCH_IMPORT);
        }
        let links = finished.join(LINKS);
        // What an attempt before a crash left.
        remove(&links)?;
        fs::create_dir(&links).map_err(|error| disk(&error))?;
        let mut tables = entries(&finished)?;
        tables.retain(|table| table.ends_with(".sst"));
        tables.sort_unstable();
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        for cf in Cf::DATA {
            let prefix = format!("{}-", cf as u8);
            let mut paths = Vec::new();
            for table in tables.iter().filter(|table| table.starts_with(&prefix)) {
                let link = links.join(table);
                fs::hard_link(finished.join(table), &link).map_err(|error| disk(&error))?;
                paths.push(link);
            }
            if !paths.is_empty() {
                let taken = self.shared.db.ingest_external_file_cf_opts(self.shared.family(cf), &options, paths);
                taken.map_err(|error| self.shared.failure.remember(from_rocks(error)))?;
            }
        }
        remove(&links)
    }
}

impl Importer for RocksImporter {
    fn add(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        self.order.admit(cf, key)?;
        self.waiting.put(cf, key, value);
        if self.waiting.encoded_bytes() >= TABLE_BYTES { self.write_tables() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_tables()?;
        let (from, to) = (self.shared.unfinished(&self.name), self.shared.finished(&self.name));
        sync_directory(&from)?;
        fs::rename(&from, &to).map_err(|error| disk(&error))?;
        sync_directory(&self.shared.imports())?;
        sync_directory(self.shared.db.path())
    }
}

impl RocksImporter {
    fn write_tables(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        for wanted in Cf::DATA {
            let path = self.shared.unfinished(&self.name).join(format!("{}-{:06}.sst", wanted as u8, self.tables));
            let options = self.shared.family_options(wanted);
            let mut writer = SstFileWriter::create(&options);
            let mut is_open = false;
            for op in waiting.ops() {
                let WriteOp::Put { cf, key, value } = op? else { continue };
                if cf != wanted {
                    continue;
                }
                if !is_open {
                    writer.open(&path).map_err(from_rocks)?;
                    is_open = true;
                }
                writer.put(key, value).map_err(from_rocks)?;
            }
            if is_open {
                // It syncs the file.
                writer.finish().map_err(from_rocks)?;
            }
        }
        self.tables += 1;
        Ok(())
    }
}

impl Drop for RocksImporter {
    fn drop(&mut self) {
        // Finished, it has another name; if it cannot be removed now, the next start does.
        let _ = remove(&self.shared.unfinished(&self.name));
    }
}

impl fmt::Debug for RocksImporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksImporter").field("name", &self.name).field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl Shared {
    fn imports(&self) -> PathBuf {
        self.db.path().join(FOLDER)
    }

    fn finished(&self, name: &str) -> PathBuf {
        self.imports().join(name)
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.imports().join(format!("{name}{UNFINISHED}"))
    }
}

/// Makes the folder for imports, and removes what an earlier process left unfinished. The database is open, so that no
/// other process is at it.
///
/// # Errors
/// The reason, for a person.
pub(super) fn clean(directory: &Path) -> Result<()> {
    let folder = directory.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| disk(&error))?;
    for name in entries(&folder)?.iter().filter(|name| name.ends_with(UNFINISHED)) {
        remove(&folder.join(name))?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder).and_then(|entries| entries.map(name).collect()).map_err(|error| disk(&error))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk(&error)),
        _ => Ok(()),
    }
}

fn sync_directory(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| disk(&error))
}

fn disk(error: &std::io::Error) -> Error {
    Error::Disk(error.to_string())
}
