//! CSV files read by the names of their columns; every complaint names file, line and column. Not here: which columns.

use std::io::Read;
use std::path::Path;

/// Most rows read of one file.
pub(crate) const ROWS_MAX: usize = 10_000_000;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCsv {
    #[error("{file} cannot be read: {why}. Check the path and its permissions")]
    Open { file: String, why: std::io::Error },
    #[error("{file}: the header has no column {column}; it has: {found}. Name the columns in the first line")]
    NoColumn { file: String, column: &'static str, found: String },
    #[error("{file}:{line}: {why}. Correct or remove this line")]
    Line { file: String, line: u64, why: String },
    #[error("{file}:{line}: column {column}: {why}, not {cell:?}. Correct or remove this line")]
    Cell { file: String, line: u64, column: &'static str, why: String, cell: String },
    #[error("{file} has no rows behind its header. Give a file with at least one")]
    Empty { file: String },
    #[error("{file} has more than {ROWS_MAX} rows. Give a part of it")]
    TooLong { file: String },
}

/// One row, with the cells of the wanted columns in the wanted order.
pub(crate) struct Line<'a, const N: usize> {
    file: &'a str,
    names: &'a [&'static str; N],
    places: [usize; N],
    record: &'a csv::StringRecord,
}

impl<const N: usize> Line<'_, N> {
    pub fn cell(&self, column: usize) -> &str {
        self.record.get(self.places[column]).unwrap_or("")
    }

    pub fn bad(&self, column: usize, why: &str) -> BadCsv {
        const SHOWN_CHARS_MAX: usize = 40;
        BadCsv::Cell {
            file: self.file.into(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: self.names[column],
            why: why.into(),
            cell: self.cell(column).chars().take(SHOWN_CHARS_MAX).collect(),
        }
    }
}

/// Parses each row of the file at `path`; at most `rows_max` where that is given.
pub(crate) fn read_file<T, const N: usize>(
    path: &Path,
    names: &[&'static str; N],
    rows_max: Option<usize>,
    parse: impl FnMut(&Line<'_, N>) -> Result<T, BadCsv>,
) -> Result<Vec<T>, BadCsv> {
    let file = path.display().to_string();
    match std::fs::File::open(path) {
        Ok(opened) => read(&file, opened, names, rows_max, parse),
        Err(why) => Err(BadCsv::Open { file, why }),
    }
}

pub(crate) fn read<T, const N: usize>(
    file: &str,
    bytes: impl Read,
    names: &[&'static str; N],
    rows_max: Option<usize>,
    mut parse: impl FnMut(&Line<'_, N>) -> Result<T, BadCsv>,
) -> Result<Vec<T>, BadCsv> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|why| broken(file, &why))?;
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(names) {
        let found = || header.iter().collect::<Vec<_>>().join(", ");
        *place = header.iter().position(|name| name == *column).ok_or_else(|| BadCsv::NoColumn {
            file: file.into(),
            column,
            found: found(),
        })?;
    }
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while rows_max.is_none_or(|max| rows.len() < max) {
        if !reader.read_record(&mut record).map_err(|why| broken(file, &why))? {
            break;
        }
        if rows.len() == ROWS_MAX {
            return Err(BadCsv::TooLong { file: file.into() });
        }
        rows.push(parse(&Line { file, names, places, record: &record })?);
    }
    if rows.is_empty() { Err(BadCsv::Empty { file: file.into() }) } else { Ok(rows) }
}

fn broken(file: &str, why: &csv::Error) -> BadCsv {
    let line = why.position().map_or(1, csv::Position::line);
    let why = match why.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the header has {expected_len} columns, this line has {len}")
        }
        csv::ErrorKind::Utf8 { .. } => "this line is not UTF-8".into(),
        _ => why.to_string(),
    };
    BadCsv::Line { file: file.into(), line, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, rows_max: Option<usize>) -> Result<Vec<(String, u8)>, String> {
        let parsed = read("f.csv", text.as_bytes(), &["name", "n"], rows_max, |line| {
            let n = line.cell(1).parse().map_err(|_| line.bad(1, "it is 0 to 255"))?;
            Ok((line.cell(0).to_owned(), n))
        });
        parsed.map_err(|why| why.to_string())
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let rows = Ok(vec![("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(pairs("name,n\na,1\nb,2\n", None), rows);
        assert_eq!(pairs("n,other,name\r\n1,x,a\r\n 2 ,y, b\r\n", None), rows);
        assert_eq!(pairs("\u{feff}name,n\n\na,1\n\"b\",2", None), rows);
        assert_eq!(pairs("name,n\na,1\nb,2\nthis is not read", Some(2)), rows);
    }

    #[test]
    fn every_complaint_names_its_place() {
        for (text, why) in [
            ("", "f.csv: the header has no column name; it has: ."),
            ("name,count\na,1", "f.csv: the header has no column n; it has: name, count"),
            ("name,n\n", "f.csv has no rows"),
            ("name,n\na,1\nb,256\n", "f.csv:3: column n: it is 0 to 255, not \"256\""),
            ("name,n\na,1\nb\n", "f.csv:3: the header has 2 columns, this line has 1"),
            ("name,n\na,1,2\n", "f.csv:2: the header has 2 columns, this line has 3"),
        ] {
            let complaint = pairs(text, None).expect_err(text);
            assert!(complaint.starts_with(why), "{text:?}: {complaint}");
        }
        let bytes: &[u8] = b"name,n\na,1\n\xff,2\n";
        let complaint = read("f.csv", bytes, &["name", "n"], None, |_| Ok(())).unwrap_err().to_string();
        assert!(complaint.starts_with("f.csv:3: this line is not UTF-8"), "{complaint}");
    }
}
