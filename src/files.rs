//! Writes files that somebody asked for, whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

use crate::error::{Error, Result};

/// Replaces the file at `path` with these bytes, at once. Its mode is `mode`, or what the umask gives.
///
/// The file is first written beside `path`, under a name that nobody can predict; no link is followed.
///
/// # Errors
/// [`crate::error::Kind::Io`] if that fails; the old file stays then.
pub fn replace(path: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
    let write = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = Builder::new()
            .prefix(".nightshelf-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
        }
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| Error::file(&error, "write", path))
}
