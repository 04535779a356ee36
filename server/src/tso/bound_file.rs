//! The directory of a timestamp server: one lock, one record, replaced as a whole.
//!
//! A write goes to a temporary file, is synced, renamed over the record, and the directory is synced. So a crash
//! leaves the old record or the new one; a record that is neither has been damaged by something else and is refused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use nokv_placement::clock::WALL_MS_MAX;

use super::bound_record::{BoundRecord, RECORD_BYTES, RecordDamage};

const LOCK_FILE: &str = "tso.lock";
const RECORD_FILE: &str = "tso.bound";
const TEMPORARY_FILE: &str = "tso.bound.tmp";
const DAMAGED_FILE: &str = "tso.bound.damaged";

/// The bound on disk, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct BoundFile {
    dir: PathBuf,
    dir_handle: File,
    bound_ms: u64,
    /// Locked; the lock ends with the process, however that ends.
    _lock: File,
}

/// Why a directory cannot be used. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
pub enum BoundFileError {
    /// Another process uses it: stop that one, or take another directory.
    #[error("the directory {} is in use by another timestamp server (process {holder})", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other's process id, as it wrote it down.
        holder: String,
    },
    /// The record is damaged: restore it, or tell from where to go on.
    #[error("{}", explain_damage(path, damage))]
    Damaged {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        damage: RecordDamage,
    },
    /// A time to recover from that no clock shows: correct it.
    #[error("{bound_ms} ms since 1970 is no time to go on from; it lies beyond the year 3000")]
    AbsurdRecovery {
        /// What was given.
        bound_ms: u64,
    },
    /// The operating system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn explain_damage(path: &Path, damage: &RecordDamage) -> String {
    let path = path.display();
    format!(
        "the timestamp record {path} is damaged: {damage}.\n\
         It says below which time timestamps may have been handed out; going on without it could hand one out twice, \
         so nothing was started and nothing was changed.\n\
         To go on: put back a whole copy of the file if its server has not run since the copy was made. Without one, \
         choose a time later than every timestamp ever handed out (the present plus an hour, unless the clock once ran \
         further ahead) and start once with\n  \
         --recover-bound-ms $(( $(date +%s%3N) + 3600000 ))\n\
         The damaged file is then kept as {DAMAGED_FILE}."
    )
}

impl BoundFile {
    /// Takes the directory, creating it if need be, and reads the bound: 0 in a new directory.
    ///
    /// With `recover_bound_ms`, a damaged record is set aside and replaced by that bound, and a whole one is raised to
    /// it; it is never lowered.
    ///
    /// # Errors
    /// [`BoundFileError`]; each variant says what to do.
    pub fn open(dir: &Path, recover_bound_ms: Option<u64>) -> Result<BoundFile, BoundFileError> {
        if let Some(bound_ms) = recover_bound_ms.filter(|ms| *ms > WALL_MS_MAX) {
            return Err(BoundFileError::AbsurdRecovery { bound_ms });
        }
        fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source))?;
        let dir_handle = File::open(dir).map_err(|source| io_error("open", dir, source))?;
        let lock = take_lock(dir)?;
        let recorded = read_record(&dir.join(RECORD_FILE));
        let mut file = BoundFile { dir: dir.to_path_buf(), dir_handle, bound_ms: 0, _lock: lock };
        match (recorded, recover_bound_ms) {
            (Ok(bound_ms), None) => file.bound_ms = bound_ms,
            (Ok(bound_ms), Some(wanted_ms)) => {
                file.bound_ms = bound_ms;
                file.save(bound_ms.max(wanted_ms))?;
            }
            (Err(BoundFileError::Damaged { path, .. }), Some(wanted_ms)) => {
                let kept = dir.join(DAMAGED_FILE);
                fs::copy(&path, &kept).map_err(|source| io_error("keep the damaged record as", &kept, source))?;
                file.save(wanted_ms)?;
            }
            (Err(error), _) => return Err(error),
        }
        Ok(file)
    }

    /// The bound on disk, in milliseconds since 1970; 0 if there is none yet.
    pub fn bound_ms(&self) -> u64 {
        self.bound_ms
    }

    /// Makes a bound durable. A bound that is not above the one on disk needs no write.
    ///
    /// # Errors
    /// [`BoundFileError::Io`]: the bound must not be relied on. The same may be tried again later, for instance after
    /// a full disk has been given room.
    pub fn save(&mut self, bound_ms: u64) -> Result<(), BoundFileError> {
        if bound_ms <= self.bound_ms {
            return Ok(());
        }
        let record = BoundRecord { bound_ms, written_at_ms: wall_ms() };
        let temporary = self.dir.join(TEMPORARY_FILE);
        let path = self.dir.join(RECORD_FILE);
        // A new file each time: after a failed sync nothing may be concluded from the old file's later syncs.
        write_synced(&temporary, &record.encode()).map_err(|source| io_error("write", &temporary, source))?;
        fs::rename(&temporary, &path).map_err(|source| io_error("replace", &path, source))?;
        self.dir_handle.sync_all().map_err(|source| io_error("sync", &self.dir, source))?;
        self.bound_ms = bound_ms;
        Ok(())
    }
}

fn take_lock(dir: &Path) -> Result<File, BoundFileError> {
    let path = dir.join(LOCK_FILE);
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(|source| io_error("open", &path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to help the reader of the message: whatever is written there will do.
            let _ = file.read_to_string(&mut holder);
            return Err(BoundFileError::InUse { dir: dir.to_path_buf(), holder: holder.trim().to_string() });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
    }
    let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|source| io_error("write", &path, source))?;
    Ok(file)
}

fn read_record(path: &Path) -> Result<u64, BoundFileError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            let limit = RECORD_BYTES as u64 + 1;
            file.take(limit).read_to_end(&mut bytes).map_err(|source| io_error("read", path, source))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(io_error("read", path, source)),
    }
    match BoundRecord::decode(&bytes) {
        Ok(record) => Ok(record.bound_ms),
        Err(damage) => Err(BoundFileError::Damaged { path: path.to_path_buf(), damage }),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn wall_ms() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> BoundFileError {
    BoundFileError::Io { what, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(dir: &Path, bytes: &[u8]) {
        fs::write(dir.join(RECORD_FILE), bytes).unwrap();
    }

    #[test]
    fn a_bound_survives_and_only_grows() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/deep");
        let mut file = BoundFile::open(&dir, None).unwrap();
        assert_eq!(file.bound_ms(), 0);
        file.save(5).unwrap();
        file.save(3).unwrap();
        drop(file);
        assert_eq!(BoundFile::open(&dir, None).unwrap().bound_ms(), 5);
    }

    #[test]
    fn a_second_holder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = BoundFile::open(dir.path(), None).unwrap();
        let error = BoundFile::open(dir.path(), None).unwrap_err();
        assert!(matches!(&error, BoundFileError::InUse { holder, .. } if *holder == std::process::id().to_string()));
        drop(held);
        BoundFile::open(dir.path(), None).unwrap();
    }

    #[test]
    fn damage_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        BoundFile::open(dir.path(), None).unwrap().save(5).unwrap();
        let whole = fs::read(dir.path().join(RECORD_FILE)).unwrap();
        let mut longer = whole.clone();
        longer.push(0);
        for bytes in [&whole[..31], &[], &longer, &[0; 32]] {
            damage(dir.path(), bytes);
            let error = BoundFile::open(dir.path(), None).unwrap_err();
            assert!(matches!(error, BoundFileError::Damaged { .. }));
            assert!(error.to_string().contains("--recover-bound-ms"), "{error}");
            assert_eq!(fs::read(dir.path().join(RECORD_FILE)).unwrap(), bytes);
        }
    }

    #[test]
    fn recovery_replaces_a_damaged_record_and_never_lowers_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        damage(dir.path(), b"torn");
        assert_eq!(BoundFile::open(dir.path(), Some(70)).unwrap().bound_ms(), 70);
        assert_eq!(fs::read(dir.path().join(DAMAGED_FILE)).unwrap(), b"torn");
        assert_eq!(BoundFile::open(dir.path(), Some(60)).unwrap().bound_ms(), 70);
        assert_eq!(BoundFile::open(dir.path(), Some(80)).unwrap().bound_ms(), 80);
        assert_eq!(BoundFile::open(dir.path(), None).unwrap().bound_ms(), 80);
        assert!(matches!(BoundFile::open(dir.path(), Some(1 << 46)), Err(BoundFileError::AbsurdRecovery { .. })));
    }

    #[test]
    fn a_torn_temporary_file_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        BoundFile::open(dir.path(), None).unwrap().save(5).unwrap();
        fs::write(dir.path().join(TEMPORARY_FILE), b"to").unwrap();
        let mut file = BoundFile::open(dir.path(), None).unwrap();
        assert_eq!(file.bound_ms(), 5);
        file.save(6).unwrap();
        drop(file);
        assert_eq!(BoundFile::open(dir.path(), None).unwrap().bound_ms(), 6);
    }
}
