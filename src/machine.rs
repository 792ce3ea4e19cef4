//! How much memory this process may take: that of the machine, or less if a cgroup limits it. Also whether
//! the disk for SQLite's temporary files is full.

use std::path::{Path, PathBuf};

/// The most memory that the process may take, and what sets this limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    pub bytes: u64,
    /// `the machine has`, or `the cgroup of this process allows`.
    pub source: &'static str,
}

/// The memory of this machine, or the limit of the cgroup (v1 or v2) that this process is in; `None` where
/// the system does not tell.
pub fn memory() -> Option<Memory> {
    memory_below(Path::new("/"))
}

/// The memory that is still available on the system, in bytes; `None` where the system does not tell.
pub fn available_memory() -> Option<u64> {
    of_meminfo(Path::new("/"), "MemAvailable:")
}

/// The peak memory of this process, in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The folder in which SQLite makes its temporary files, if its disk is full.
pub fn full_temporary_folder() -> Option<PathBuf> {
    // Less than SQLite writes at a time when a sort no longer fits into its memory.
    const NOTHING: u64 = 1 << 20;
    let from_environment =
        ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let others = ["/var/tmp", "/usr/tmp", "/tmp", "."].map(PathBuf::from);
    // As SQLite does, takes the first folder that it may write to.
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let is_fit = |folder: &PathBuf| folder.is_dir() && rustix::fs::access(folder, access).is_ok();
    let folder = from_environment.chain(others).find(is_fit)?;
    let disk = rustix::fs::statvfs(&folder).ok()?;
    (disk.f_bavail.saturating_mul(disk.f_frsize) < NOTHING).then_some(folder)
}

fn memory_below(root: &Path) -> Option<Memory> {
    let machine = of_meminfo(root, "MemTotal:").map(|bytes| Memory { bytes, source: "the machine has" });
    let cgroup = of_cgroup(root).map(|bytes| Memory { bytes, source: "the cgroup of this process allows" });
    [cgroup, machine].into_iter().flatten().min_by_key(|memory| memory.bytes)
}

fn of_meminfo(root: &Path, field: &str) -> Option<u64> {
    let about = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = about.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The lowest limit that holds for the process: of its own group and all groups above it. In a container the
/// path of the group may be the host's, and only the container's own part of it exists here.
fn of_cgroup(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut least = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            v1 if v1.split(',').any(|controller| controller == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path.trim_start_matches('/'));
        for above in group.ancestors() {
            let limit = std::fs::read_to_string(root.join(mount).join(above).join(file)).ok();
            // No limit is "max" in v2, and in v1 a number near the largest possible.
            let limit =
                limit.and_then(|limit| limit.trim().parse::<u64>().ok()).filter(|limit| *limit < 1 << 60);
            least = [least, limit].into_iter().flatten().min();
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn the_least_limit_of_machine_and_cgroups_holds() {
        let meminfo = ("proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n");
        let of = |files: &[(&str, &str)]| memory_below(machine(&[files, &[meminfo]].concat()).path());
        let cgroup = |bytes| Some(Memory { bytes, source: "the cgroup of this process allows" });
        let whole = Some(Memory { bytes: 16_000_000 * 1024, source: "the machine has" });
        assert_eq!(of(&[]), whole);
        // v2, in a group of a group that has the limit.
        let own = ("proc/self/cgroup", "0::/system.slice/nightshelf.service\n");
        let unlimited = ("sys/fs/cgroup/system.slice/nightshelf.service/memory.max", "max\n");
        assert_eq!(of(&[own, unlimited]), whole);
        assert_eq!(
            of(&[own, unlimited, ("sys/fs/cgroup/system.slice/memory.max", "300000000\n")]),
            cgroup(300_000_000)
        );
        // v2 in a container, which sees only itself.
        assert_eq!(of(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "512\n")]), cgroup(512));
        // v1, whose path is the host's and not to be seen from within.
        let v1 = (
            "proc/self/cgroup",
            "11:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n1:name=systemd:/docker/ab\n",
        );
        let limit = |text| ("sys/fs/cgroup/memory/memory.limit_in_bytes", text);
        assert_eq!(of(&[v1, limit("268435456\n")]), cgroup(268_435_456));
        assert_eq!(of(&[v1, limit("9223372036854771712\n")]), whole);
        // More than there is.
        assert_eq!(
            of(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "99999999999999\n")]),
            whole
        );
        assert_eq!(memory_below(machine(&[]).path()), None);
    }
}
