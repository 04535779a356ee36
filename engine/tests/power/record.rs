//! The system calls by which files are changed, in the place of the C library's: they do the same, and write down what
//! was done to files below one directory. The linker prefers what the program itself defines, RocksDB included.
//!
//! A call and its line in the record are one step, under a lock: the record is in the order in which things happened.
#![allow(unsafe_code, reason = "these are the C library's functions, and take its pointers")]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{AT_FDCWD, c_char, c_int, c_long, c_uint, c_void, mode_t, off_t, size_t, ssize_t};

/// Something that was done, to paths below the recorded directory and relative to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file was opened for writing, and made if it was not there.
    Open {
        path: PathBuf,
        empties: bool,
    },
    /// Bytes were written.
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// A file has this length now.
    Cut {
        path: PathBuf,
        length: u64,
    },
    /// A file or directory was synced.
    Sync {
        path: PathBuf,
    },
    /// A sync failed: what it was to write is lost, now or later.
    SyncFailed {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
    },
    /// The workload is at this step.
    Begun(u64),
    /// The workload was told that everything up to and including this step is on disk.
    Acknowledged(u64),
}

struct Record {
    root: PathBuf,
    events: Vec<Event>,
    /// Syncs until one fails, if one is to.
    syncs_left: Option<u64>,
}

static RECORD: Mutex<Option<Record>> = Mutex::new(None);
/// One recording at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A recording under way.
pub struct Recording {
    _turn: MutexGuard<'static, ()>,
}

impl Recording {
    /// Begins to write down what happens below `root`; the sync of this number fails, counted from 0.
    pub fn begin(root: &Path, failing_sync: Option<u64>) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let root = root.canonicalize().unwrap();
        *lock() = Some(Record { root, events: Vec::new(), syncs_left: failing_sync });
        Recording { _turn: turn }
    }

    /// Adds a line of the workload's own.
    pub fn note(&self, event: Event) {
        if let Some(record) = lock().as_mut() {
            record.events.push(event);
        }
    }

    /// Ends it: what happened.
    pub fn end(self) -> Vec<Event> {
        lock().take().map(|record| record.events).unwrap_or_default()
    }
}

fn lock() -> MutexGuard<'static, Option<Record>> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    fn below(&self, path: &Path) -> Option<PathBuf> {
        // Without `//` and `.`; nobody here writes `..`.
        let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        plain.strip_prefix(&self.root).ok().map(Path::to_path_buf)
    }

    fn of_descriptor(&self, descriptor: c_int) -> Option<PathBuf> {
        let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
        (!path.as_os_str().as_bytes().ends_with(b" (deleted)")).then(|| self.below(&path)).flatten()
    }

    /// The path that a caller means, relative to the directory `at`.
    fn of_argument(&self, at: c_int, path: *const c_char) -> Option<PathBuf> {
        // SAFETY: callers of the C library give it a string that ends with a zero.
        let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
        if path.is_absolute() || at == AT_FDCWD {
            return self.below(path);
        }
        Some(self.of_descriptor(at)?.join(path))
    }

    fn sync_is_to_fail(&mut self) -> bool {
        match self.syncs_left.as_mut() {
            Some(0) => {
                self.syncs_left = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// Does `call`, and if it went well and a recording is under way, adds what `event` makes of its result.
fn recorded(call: impl FnOnce() -> c_long, event: impl FnOnce(&Record, c_long) -> Option<Event>) -> c_long {
    let mut record = lock();
    let result = call();
    if result >= 0
        && let Some(record) = record.as_mut()
        && let Some(event) = event(record, result)
    {
        record.events.push(event);
    }
    result
}

fn open_at(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let writes =
        flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) != 0 && flags & libc::O_TMPFILE != libc::O_TMPFILE;
    let mode = if flags & libc::O_CREAT == 0 { 0 } else { mode };
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_openat, at, path, flags | libc::O_LARGEFILE, mode) };
    let event = |record: &Record, _| {
        let path = record.of_argument(at, path).filter(|_| writes)?;
        Some(Event::Open { path, empties: flags & libc::O_TRUNC != 0 })
    };
    recorded(call, event) as c_int
}

/// Whether each write to a file is on disk when it returns.
fn writes_are_synced(descriptor: c_int) -> bool {
    // SAFETY: asks how the file was opened.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DSYNC != 0
}

fn write_at(descriptor: c_int, bytes: *const c_void, count: size_t, offset: Option<off_t>) -> ssize_t {
    if writes_are_synced(descriptor) && fail_synced_write(descriptor) {
        // SAFETY: the place of this thread's error number.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    // SAFETY: the caller's own arguments.
    let call = || unsafe {
        match offset {
            None => libc::syscall(libc::SYS_write, descriptor, bytes, count),
            Some(offset) => libc::syscall(libc::SYS_pwrite64, descriptor, bytes, count, offset),
        }
    };
    let event = |record: &Record, written: c_long| {
        let path = record.of_descriptor(descriptor)?;
        // SAFETY: asks where the next write would go.
        let end = || unsafe { libc::lseek(descriptor, 0, libc::SEEK_CUR) };
        let offset = offset.unwrap_or_else(|| end() - written);
        // SAFETY: the system has just read so many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), written as usize) }.to_vec();
        Some(Event::Write { path, offset: u64::try_from(offset).ok()?, bytes })
    };
    let written = recorded(call, event) as ssize_t;
    if written > 0 && writes_are_synced(descriptor) {
        recorded(|| 0, |record, _| Some(Event::Sync { path: record.of_descriptor(descriptor)? }));
    }
    written
}

fn fail_synced_write(descriptor: c_int) -> bool {
    let mut record = lock();
    let path = record.as_ref().and_then(|record| record.of_descriptor(descriptor));
    let (Some(record), Some(path)) = (record.as_mut(), path) else { return false };
    let fails = record.sync_is_to_fail();
    if fails {
        record.events.push(Event::SyncFailed { path });
    }
    fails
}

fn sync(descriptor: c_int, call: c_long) -> c_int {
    let mut record = lock();
    let path = record.as_ref().and_then(|record| record.of_descriptor(descriptor));
    if let (Some(record), Some(path)) = (record.as_mut(), path.clone())
        && record.sync_is_to_fail()
    {
        record.events.push(Event::SyncFailed { path });
        // SAFETY: the place of this thread's error number.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    // SAFETY: the caller's own argument.
    let result = unsafe { libc::syscall(call, descriptor) };
    if let (0, Some(record), Some(path)) = (result, record.as_mut(), path) {
        record.events.push(Event::Sync { path });
    }
    result as c_int
}

fn cut(descriptor: c_int, length: off_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_ftruncate, descriptor, length) };
    let event = |record: &Record, _| {
        Some(Event::Cut { path: record.of_descriptor(descriptor)?, length: u64::try_from(length).ok()? })
    };
    recorded(call, event) as c_int
}

fn remove_at(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_unlinkat, at, path, flags) };
    recorded(call, |record, _| Some(Event::Remove { path: record.of_argument(at, path)? })) as c_int
}

fn link_at(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_linkat, from_at, from, to_at, to, flags) };
    let event = |record: &Record, _| {
        Some(Event::Link { from: record.of_argument(from_at, from)?, to: record.of_argument(to_at, to)? })
    };
    recorded(call, event) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn openat(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(at, path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    open_at(at, path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn write(descriptor: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    write_at(descriptor, bytes, count, None)
}

#[unsafe(no_mangle)]
extern "C" fn pwrite(descriptor: c_int, bytes: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    write_at(descriptor, bytes, count, Some(offset))
}

#[unsafe(no_mangle)]
extern "C" fn pwrite64(descriptor: c_int, bytes: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    write_at(descriptor, bytes, count, Some(offset))
}

#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    sync(descriptor, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    sync(descriptor, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate(descriptor: c_int, length: off_t) -> c_int {
    cut(descriptor, length)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate64(descriptor: c_int, length: off_t) -> c_int {
    cut(descriptor, length)
}

#[unsafe(no_mangle)]
extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) };
    let event = |record: &Record, _| {
        Some(Event::Rename { from: record.of_argument(AT_FDCWD, from)?, to: record.of_argument(AT_FDCWD, to)? })
    };
    recorded(call, event) as c_int
}

#[unsafe(no_mangle)]
extern "C" fn unlink(path: *const c_char) -> c_int {
    remove_at(AT_FDCWD, path, 0)
}

#[unsafe(no_mangle)]
extern "C" fn rmdir(path: *const c_char) -> c_int {
    remove_at(AT_FDCWD, path, libc::AT_REMOVEDIR)
}

#[unsafe(no_mangle)]
extern "C" fn unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    remove_at(at, path, flags)
}

#[unsafe(no_mangle)]
extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    link_at(AT_FDCWD, from, AT_FDCWD, to, 0)
}

#[unsafe(no_mangle)]
extern "C" fn linkat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int {
    link_at(from_at, from, to_at, to, flags)
}

#[unsafe(no_mangle)]
extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let call = || unsafe { libc::syscall(libc::SYS_mkdirat, AT_FDCWD, path, mode as c_uint) };
    let event = |record: &Record, _| Some(Event::MakeDirectory { path: record.of_argument(AT_FDCWD, path)? });
    recorded(call, event) as c_int
}

#[test]
fn what_is_done_to_files_is_written_down() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let directory = tempfile::tempdir().unwrap();
    let recording = Recording::begin(directory.path(), Some(1));
    let mut file = std::fs::File::create(directory.path().join("a")).unwrap();
    file.write_all(b"one").unwrap();
    file.write_all(b"two").unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap_err();
    file.seek(SeekFrom::Start(1)).unwrap();
    file.set_len(4).unwrap();
    std::fs::rename(directory.path().join("a"), directory.path().join("b")).unwrap();
    std::fs::create_dir(directory.path().join("c")).unwrap();
    std::fs::remove_dir_all(directory.path().join("c")).unwrap();
    let path = |name: &str| PathBuf::from(name);
    let write = |offset, bytes: &[u8]| Event::Write { path: path("a"), offset, bytes: bytes.to_vec() };
    let expected = [
        Event::Open { path: path("a"), empties: true },
        write(0, b"one"),
        write(3, b"two"),
        Event::Sync { path: path("a") },
        Event::SyncFailed { path: path("a") },
        Event::Cut { path: path("a"), length: 4 },
        Event::Rename { from: path("a"), to: path("b") },
        Event::MakeDirectory { path: path("c") },
        Event::Remove { path: path("c") },
    ];
    assert_eq!(recording.end(), expected);
}
