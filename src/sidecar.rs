//! Permissions of our files beside the database: who may read the database may read them, and nobody else.
//!
//! The lock and the models lie in a folder beside the database. They are about the same people, so they take
//! its mode. A run by root must not lock the application's account out of the next run, so for root they take
//! its owner too.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Makes a folder that nobody else can look into until [`adopt`] has given it another mode. Follows no link.
///
/// # Errors
/// Whatever the file system says, also if something of that name exists already.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Gives a file, or a folder and all that lies in it, the mode and the owner of `like`; the folder itself
/// comes last. It is no error if the owner may not be changed.
pub fn adopt(path: &Path, like: &Path) -> io::Result<()> {
    adopt_as(path, &fs::metadata(like)?)
}

fn adopt_as(path: &Path, like: &Metadata) -> io::Result<()> {
    // An open handle, so nobody can put another file into its place meanwhile. NONBLOCK, because opening a
    // pipe would wait for a writer.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // A link, or a file of another account: it stays as it is.
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            adopt_as(&entry?.path(), like)?;
        }
    } else if about.nlink() > 1 {
        // A hard link: it has another name elsewhere, and may be any file.
        return Ok(());
    }
    let foreign = |own: u32, other: u32| (own != other).then_some(other);
    let (user, group) = (foreign(about.uid(), like.uid()), foreign(about.gid(), like.gid()));
    if user.is_some() || group.is_some() {
        // Only root may change the owner; others may set a group of their own.
        let _ = fchown(&file, user, group).or_else(|_| fchown(&file, None, group));
    }
    let mode = mode(like.mode(), about.is_dir());
    if about.mode() & 0o7777 != mode {
        let changed = file.set_permissions(Permissions::from_mode(mode));
        return changed.or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Ok(()),
            _ => Err(error),
        });
    }
    Ok(())
}

/// The mode of a file or folder, from that of the database; in a folder, who may read may also enter. The
/// owner may always write, because the next run has to.
fn mode(of_database: u32, is_folder: bool) -> u32 {
    let mode = of_database & 0o666 | 0o600;
    if is_folder { mode | (mode & 0o444) >> 2 } else { mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_follow_the_database() {
        for (database, file, folder) in [
            (0o100_644, 0o644, 0o755),
            (0o600, 0o600, 0o700),
            (0o660, 0o660, 0o770),
            (0o640, 0o640, 0o750),
            (0o444, 0o644, 0o755),
            (0o4755, 0o644, 0o755),
        ] {
            assert_eq!((mode(database, false), mode(database, true)), (file, folder), "{database:o}");
        }
    }
}
