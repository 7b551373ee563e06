//! A file from outside, read no further than a file of its kind can reach: neither a line that never ends nor a small
//! archive of a huge file fills memory.

use std::io::{self, Read};

/// A file is read into memory up to here: 256 MiB.
const LONGEST_FILE: u64 = 256 * 1024 * 1024;
/// No line of ours needs more: a longer one is a broken quote, or no CSV at all.
const LONGEST_LINE: usize = 1024 * 1024;
/// So many bytes at a time: a line inside them is never too long.
const STEP: usize = 64 * 1024;

/// A reader that ends with an error at a line or a file that is too long.
pub struct Limited<R> {
    inner: R,
    left: u64,
    line: u64,
    since_newline: usize,
}

impl<R> Limited<R> {
    /// Reads from another reader, within bounds.
    pub fn new(inner: R) -> Self {
        Self { inner, left: LONGEST_FILE, line: 1, since_newline: 0 }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = buffer.len().min(STEP);
        let read = self.inner.read(&mut buffer[..step])?;
        let bytes = &buffer[..read];
        let first = bytes.iter().position(|byte| *byte == b'\n');
        if self.since_newline + first.unwrap_or(read) > LONGEST_LINE {
            return Err(io::Error::other(format!(
                "line {} is longer than {LONGEST_LINE} bytes: is this a CSV file, and is a quote left open?",
                self.line
            )));
        }
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.line += bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
                self.since_newline = read - 1 - last;
            }
            None => self.since_newline += read,
        }
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("the file is longer than {LONGEST_FILE} bytes; split it"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_just_the_limit_is_read_and_a_longer_one_is_named() {
        let read = |longer: usize| {
            let long = vec![b'x'; LONGEST_LINE + longer];
            let bytes = [&b"a\nb\n"[..], &long, b"\nc\n"].concat();
            Limited::new(&bytes[..]).read_to_end(&mut Vec::new())
        };
        assert_eq!(read(0).unwrap(), LONGEST_LINE + 7);
        assert!(read(1).unwrap_err().to_string().starts_with("line 3 is longer than 1048576 bytes"));
    }
}
