//! Brings text to UTF-8 with line feeds: UTF-16, and the line ends of old Macintoshes.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// The text behind some bytes, as it begins.
pub(super) fn readable(mut bytes: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let start = bytes.fill_buf()?;
    let utf16 = match start {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        // Without a mark: half of the bytes of Latin letters are zeros.
        _ => match zeros(start) {
            [even, odd] if odd * 4 > start.len() && even * 50 < start.len() => Some(UTF_16LE),
            [even, odd] if even * 4 > start.len() && odd * 50 < start.len() => Some(UTF_16BE),
            _ => None,
        },
    };
    if let Some(encoding) = utf16 {
        let decoded = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(bytes);
        bytes = Box::new(BufReader::with_capacity(1 << 16, decoded));
    }
    let start = bytes.fill_buf()?;
    if start.contains(&b'\r') && !start.contains(&b'\n') {
        bytes = Box::new(BufReader::with_capacity(1 << 16, Feeds(bytes)));
    }
    Ok(bytes)
}

/// How many of the bytes at even and at odd places are zero.
fn zeros(bytes: &[u8]) -> [usize; 2] {
    let of = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    [of(0), of(1)]
}

/// Text whose carriage returns are line feeds.
struct Feeds(Box<dyn BufRead>);

impl Read for Feeds {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(to)?;
        to[..read].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        Ok(read)
    }
}
