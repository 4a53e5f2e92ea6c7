//! A small file that is there whole or not at all, also after a power failure. Not here: what is in it.

use platform::Directory;
use std::io;

/// All of it; `None` where there is none.
pub(crate) fn read(directory: &dyn Directory, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match directory.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Puts a file with this content in the place of what is there; durable when it returns. `unfinished` is its name before.
pub(crate) fn replace(
    directory: &dyn Directory,
    name: &str,
    unfinished: &str,
    bytes: &[u8],
) -> io::Result<()> {
    match directory.remove(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = directory.create(unfinished)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    directory.rename(unfinished, name)?;
    directory.sync()
}
