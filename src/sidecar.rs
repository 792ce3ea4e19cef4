//! Files of ours beside the database: whoever may read it may read them, and nobody else.
//!
//! The lock and the models lie in a folder beside the database. They are about the same people, so they take its
//! mode; and a night that root ran by hand must not lock the application's user out of the next one, so for root
//! they take its owner too.

use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Makes a folder that nobody else can look into until [`adopt`] has given it the mode of its model. Follows no link.
///
/// # Errors
/// Whatever the file system says, also that something of that name is there already.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Gives a file, or a folder and all that lies in it, the mode and the owner of `like`. The folder comes last.
///
/// # Errors
/// Whatever the file system says; that the owner is not ours to give away is none.
pub fn adopt(path: &Path, like: &Path) -> io::Result<()> {
    adopt_as(path, &fs::metadata(like)?)
}

fn adopt_as(path: &Path, like: &Metadata) -> io::Result<()> {
    // By an open handle: nobody can put another file into its place meanwhile. Of a pipe nobody waits for a writer.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // A link, or a file that is another user's: it stays as it is.
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
        // It has another name elsewhere, and may be anything.
        return Ok(());
    }
    let foreign = |own: u32, other: u32| (own != other).then_some(other);
    let (user, group) = (foreign(about.uid(), like.uid()), foreign(about.gid(), like.gid()));
    if user.is_some() || group.is_some() {
        // Only root may give files away; to a group of one's own one may.
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

/// The mode of the database as that of another file; for a folder, who may read may also enter. Its owner may
/// always write: the next night has to.
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
