//! Size and checksum of a file, which tell whether it is still as it was written.

use std::fs::File;
use std::io::{Read, Result, sink};
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    bytes: u64,
    /// XXH3 with 128 bits, in hexadecimal digits. It detects accidents, not forgery.
    xxh3: String,
}

impl Seal {
    /// The seal of a file, which is read in pieces.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        let mut file = Sealing::new(File::open(path)?);
        std::io::copy(&mut file, &mut sink())?;
        Ok(file.seal())
    }
}

/// Seals what is read through it.
pub(super) struct Sealing<R> {
    from: R,
    hash: Xxh3,
    bytes: u64,
}

impl<R: Read> Sealing<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, hash: Xxh3::new(), bytes: 0 }
    }

    /// Of all that was read so far.
    pub(super) fn seal(&self) -> Seal {
        Seal { bytes: self.bytes, xxh3: format!("{:032x}", self.hash.digest128()) }
    }
}

impl<R: Read> Read for Sealing<R> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let read = self.from.read(to)?;
        self.hash.update(&to[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
