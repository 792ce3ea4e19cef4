//! Files that somebody asked for, written whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

use crate::error::{Error, Result};

/// Puts a file with these bytes in the place of `path`, at once. It has the mode that the umask gives, or `mode`.
///
/// It is written beside its place under a name that nobody can foretell, and follows no link.
///
/// # Errors
/// [`crate::error::Kind::Io`] if that fails; what was there stands then.
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
