//! The file `NOKV` in a directory: says that the directory is ours and in which format it is, before anything else in
//! it is touched. A directory with other files and no marker is somebody else's, and left alone.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const NAME: &str = "NOKV";
const NAME_UNFINISHED: &str = "NOKV.tmp";

/// Makes `directory` ours, in `format` (a line), if it is new or empty, and checks that it is otherwise.
///
/// # Errors
/// The reason, for a person.
pub fn claim(directory: &Path, format: &str) -> Result<(), String> {
    fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    match fs::read_to_string(directory.join(NAME)) {
        Ok(content) if content == format => Ok(()),
        Ok(content) => {
            let (theirs, ours) = (content.trim_end(), format.trim_end());
            Err(format!("written by another version of NoKV (found {theirs:?}, this one reads {ours:?})"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if is_foreign(directory).map_err(|error| error.to_string())? {
                return Err("not a NoKV database, and not empty; choose an empty directory".to_owned());
            }
            create(directory, format).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether there is any file but what a crash in [`create`] may leave.
fn is_foreign(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        if entry?.file_name() != NAME_UNFINISHED {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the marker so that it is there whole or not at all, whenever the machine stops.
fn create(directory: &Path, format: &str) -> io::Result<()> {
    let unfinished = directory.join(NAME_UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(format.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}
