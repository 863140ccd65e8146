//! What is uploaded.

use std::io::{self, Cursor, Write};
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The sizes of a function, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) binary: usize,
    pub(crate) zip: usize,
}

/// Packs a binary as `sam package` does: deflated, under the name that the runtime expects.
pub(crate) fn of(binary: &Path) -> io::Result<Sizes> {
    let bytes = std::fs::read(binary)?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o755);
    archive.start_file("bootstrap", options).map_err(io::Error::other)?;
    archive.write_all(&bytes)?;
    let packed = archive.finish().map_err(io::Error::other)?.into_inner();
    Ok(Sizes {
        binary: bytes.len(),
        zip: packed.len(),
    })
}
