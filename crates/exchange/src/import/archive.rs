//! Several files as one: a ZIP archive, as a move of them is sent.

use std::io::{Cursor, Read, Seek, Write};

use onhand_sheets::{FileProblem, MOST_UNPACKED};
use zip::write::SimpleFileOptions;

/// So many files are moved in together at most.
pub const MOST_FILES: usize = 50;

/// A file, with its name.
pub type Named = (String, Cursor<Vec<u8>>);

fn no_archive(error: &dyn std::fmt::Display) -> FileProblem {
    FileProblem(format!("it is no ZIP archive that can be read: {error}"))
}

/// Packs files.
pub fn pack<R: Read>(
    files: impl IntoIterator<Item = (String, R)>,
    out: impl Write + Seek,
) -> std::io::Result<()> {
    let mut archive = zip::ZipWriter::new(out);
    for (name, mut file) in files {
        archive
            .start_file(name, SimpleFileOptions::default().large_file(true))
            .map_err(std::io::Error::other)?;
        std::io::copy(&mut file, &mut archive)?;
    }
    archive.finish().map_err(std::io::Error::other)?.flush()
}

/// Unpacks files into memory: up to [`MOST_FILES`] of them, and [`MOST_UNPACKED`] bytes in all. What the archive's directory says
/// of sizes is anybody's word.
pub fn unpack(archive: impl Read + Seek) -> Result<Vec<Named>, FileProblem> {
    let mut archive = zip::ZipArchive::new(archive).map_err(|error| no_archive(&error))?;
    if archive.len() > MOST_FILES {
        let number = archive.len();
        return Err(FileProblem(format!(
            "there are {number} files in it; at most {MOST_FILES} are moved in together"
        )));
    }
    let (mut files, mut left) = (Vec::with_capacity(archive.len()), MOST_UNPACKED);
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| no_archive(&error))?;
        if file.is_dir() {
            continue;
        }
        let name = file.name().map_err(|error| no_archive(&error))?.into_owned();
        let mut bytes = Vec::new();
        file.take(left + 1).read_to_end(&mut bytes).map_err(|error| no_archive(&error))?;
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            FileProblem(format!(
                "the files have more than {MOST_UNPACKED} bytes in all; move them in in parts"
            ))
        })?;
        files.push((name, Cursor::new(bytes)));
    }
    Ok(files)
}
