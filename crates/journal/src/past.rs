//! Segments that no key and no line needs any more. They stay for a while, under another name, so that a charge can still be
//! looked up; a start does not read them. Not here: looking into them (`find`).

use crate::segment::file_name;
use crate::writer::Older;
use platform::Directory;
use std::io;

fn past_name(first_sequence: u64) -> String {
    format!("past-{first_sequence:016x}.seg")
}

/// The first sequence in a past segment of that name.
pub(crate) fn past_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("past-")?.strip_suffix(".seg")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (past_name(number) == name).then_some(number)
}

/// A segment is needed no more. `end`: where what stands in it ends, where that is known.
pub(crate) fn retire(
    directory: &dyn Directory,
    first_sequence: u64,
    end: Option<u64>,
    past_bytes_max: u64,
) -> io::Result<()> {
    let name = file_name(first_sequence);
    if past_bytes_max == 0 {
        return directory.remove(&name);
    }
    if let Some(end) = end {
        directory.open(&name)?.truncate(end)?;
    }
    directory.rename(&name, &past_name(first_sequence))?;
    prune(directory, past_bytes_max)
}

pub(crate) fn retire_all(directory: &dyn Directory, go: &[Older], past_bytes_max: u64) -> io::Result<()> {
    go.iter().try_for_each(|older| retire(directory, older.first_sequence, Some(older.bytes), past_bytes_max))
}

/// The oldest go until the others take no more than so many bytes. Answers whether any went.
fn prune_to(directory: &dyn Directory, bytes_max: u64) -> io::Result<bool> {
    let mut past: Vec<u64> = directory.list()?.iter().filter_map(|name| past_sequence(name)).collect();
    past.sort_unstable();
    let (mut bytes, mut any) = (0_u64, false);
    for sequence in past.into_iter().rev() {
        let name = past_name(sequence);
        bytes = bytes.saturating_add(directory.open(&name)?.len()?);
        if bytes > bytes_max {
            directory.remove(&name)?;
            any = true;
        }
    }
    Ok(any)
}

fn prune(directory: &dyn Directory, bytes_max: u64) -> io::Result<()> {
    prune_to(directory, bytes_max).map(|_any| ())
}

/// All of them go: the disk is full. Answers whether that made room.
pub(crate) fn make_room(directory: &dyn Directory) -> bool {
    prune_to(directory, 0).unwrap_or(false)
}
