//! The rows of a file of usage, one after the other: CSV by the names of its columns, or an item of the API in each line. Never
//! the whole file at once. Not here: what becomes of them.

use crate::target::Failure;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use wire::json::{self, Given, GivenUsage, ImportItem, Word};

/// Longest line of a file, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;
const UNITS: &str = "units.";
const COLUMNS: [&str; 6] = ["id", "user", "feature", "model", "amount", "happened_at"];

/// Why a row cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadRow {
    pub line: u64,
    pub why: String,
}

pub(super) enum Rows {
    Csv {
        rows: csv::StringRecordsIntoIter<BufReader<File>>,
        columns: Vec<String>,
    },
    Lines {
        lines: BufReader<File>,
        line: u64,
    },
    /// It could not be read on.
    Ended,
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let opened = || File::open(path).map(BufReader::new).map_err(Failure::unreadable(path));
        let bad = |why: String| Failure::NoUsage { file: path.display().to_string(), why };
        match path.extension().and_then(|name| name.to_str()) {
            Some("csv") => {
                let mut rows =
                    csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(opened()?);
                let head = rows.headers().map_err(|why| bad(why.to_string()))?;
                let columns: Vec<String> = head.iter().map(str::to_owned).collect();
                check_columns(&columns).map_err(bad)?;
                Ok(Self::Csv { rows: rows.into_records(), columns })
            }
            Some("jsonl") => Ok(Self::Lines { lines: opened()?, line: 0 }),
            _ => Err(bad("its name ends neither in .csv nor in .jsonl".into())),
        }
    }

    /// With the number of its line. Empty lines are passed over.
    pub(super) fn next(&mut self) -> Option<Result<(u64, ImportItem), BadRow>> {
        match self {
            Self::Csv { rows, columns } => {
                let row = rows.next()?;
                let position = |position: Option<&csv::Position>| position.map_or(0, csv::Position::line);
                Some(match row {
                    Err(why) => Err(BadRow { line: position(why.position()), why: why.to_string() }),
                    Ok(record) => {
                        let line = position(record.position());
                        let item = of_cells(columns, &record);
                        item.map(|item| (line, item)).map_err(|why| BadRow { line, why })
                    }
                })
            }
            Self::Ended => None,
            Self::Lines { lines, line } => loop {
                let mut text = Vec::new();
                *line += 1;
                let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
                match read {
                    Ok(0) => return None,
                    Ok(_) if text.trim_ascii().is_empty() => {}
                    Ok(_) => {
                        let item = of_line(text.trim_ascii());
                        return Some(
                            item.map(|item| (*line, item)).map_err(|why| BadRow { line: *line, why }),
                        );
                    }
                    Err(why) => {
                        let bad = BadRow { line: *line, why: why.to_string() };
                        // What cannot be read is not read again and again.
                        *self = Self::Ended;
                        return Some(Err(bad));
                    }
                }
            },
        }
    }
}

fn check_columns(columns: &[String]) -> Result<(), String> {
    for needed in ["id", "user", "feature", "happened_at"] {
        if !columns.iter().any(|column| column == needed) {
            return Err(format!("it has no column {needed}"));
        }
    }
    let is_known = |column: &&String| COLUMNS.contains(&column.as_str()) || column.starts_with(UNITS);
    match columns.iter().find(|column| !is_known(column)) {
        Some(other) => Err(format!(
            "the column {other:?} is none of {} or {UNITS}UNIT, for example {UNITS}input_tokens",
            COLUMNS.join(", ")
        )),
        None => Ok(()),
    }
}

fn of_cells(columns: &[String], record: &csv::StringRecord) -> Result<ImportItem, String> {
    let cell = |name: &str| {
        let at = columns.iter().position(|column| column == name)?;
        record.get(at).filter(|cell| !cell.is_empty())
    };
    let units =
        columns.iter().zip(record).filter(|(column, cell)| column.starts_with(UNITS) && !cell.is_empty());
    let units = units.map(|(column, cell)| {
        let unit = types::Unit::read(&column[UNITS.len()..]).map_err(|bad| format!("{column}: {bad}"))?;
        Ok((unit, u64::read(cell).map_err(|bad| format!("{column}: {bad}"))?))
    });
    let units = units.collect::<Result<Vec<_>, String>>()?;
    Ok(ImportItem {
        id: needed("id", cell("id"))?,
        user: needed("user", cell("user"))?,
        feature: needed("feature", cell("feature"))?,
        model: cell("model").map(|text| value("model", text)).transpose()?,
        amount: cell("amount").map(|text| value("amount", text)).transpose()?,
        units: (!units.is_empty()).then(|| GivenUsage::from(units)),
        happened_at: needed("happened_at", cell("happened_at"))?,
    })
}

fn value<T: Word>(name: &str, text: &str) -> Result<Given<T>, String> {
    T::read(text).map(Given::from).map_err(|bad| format!("{name}: {bad}"))
}

fn needed<T: Word>(name: &str, text: Option<&str>) -> Result<Given<T>, String> {
    value(name, text.ok_or_else(|| format!("{name} is empty"))?)
}

fn of_line(text: &[u8]) -> Result<ImportItem, String> {
    let item: ImportItem = json::read(text).map_err(|why| why.to_string())?;
    // What is no value cannot be sent.
    good("id", &item.id)?;
    good("user", &item.user)?;
    good("feature", &item.feature)?;
    item.model.iter().try_for_each(|model| good("model", model))?;
    item.amount.iter().try_for_each(|amount| good("amount", amount))?;
    for (unit, count) in item.units.iter().flat_map(|usage| &usage.units) {
        good("units", unit)?;
        good("units", count)?;
    }
    if item.units.as_ref().is_some_and(|usage| usage.too_many) {
        return Err(format!("units: there are more than {}", json::USAGE_UNITS_MAX));
    }
    good("happened_at", &item.happened_at)?;
    Ok(item)
}

fn good<T: Word + Clone>(name: &str, given: &Given<T>) -> Result<(), String>
where
    T::Bad: Clone,
{
    given.clone().value().map(|_| ()).map_err(|bad| format!("{name}: {bad}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(cells: &[&str]) -> csv::StringRecord {
        csv::StringRecord::from(cells.to_vec())
    }

    #[test]
    fn a_row_is_an_item_of_the_api() {
        let columns = ["id", "user", "feature", "model", "amount", "happened_at", "units.input_tokens"];
        let columns = columns.map(str::to_owned).to_vec();
        check_columns(&columns).unwrap();
        let row = |cells: &[&str]| of_cells(&columns, &record(cells)).map(|item| json::write(&item));
        let at = "2026-11-30T12:00:00Z";
        let by_amount = row(&["row-1", "ann", "chat", "m-1", "12.5", at, ""]).unwrap();
        let line = br#"{"id":"row-1","user":"ann","feature":"chat","model":"m-1","amount":12.5,"happened_at":"2026-11-30T12:00:00Z"}"#;
        assert_eq!(by_amount, json::write(&of_line(line).unwrap()));
        let by_units = row(&["row-2", "ann", "chat", "", "", at, "1200"]).unwrap();
        let line = br#"{"id":"row-2","user":"ann","feature":"chat","units":{"input_tokens":1200},"happened_at":"2026-11-30T12:00:00Z"}"#;
        assert_eq!(by_units, json::write(&of_line(line).unwrap()));
        for (cells, why) in [
            (["", "ann", "chat", "", "1", at, ""], "id is empty"),
            (["row-1", "a/b", "chat", "", "1", at, ""], "user: an id has only"),
            (["row-1", "ann", "chat", "", "1e3", at, ""], "amount: an amount has no exponent"),
            (["row-1", "ann", "chat", "", "1", "yesterday", ""], "happened_at: a time is RFC 3339"),
            (["row-1", "ann", "chat", "", "", at, "-1"], "units.input_tokens: a count is not negative"),
        ] {
            let bad = row(&cells).unwrap_err();
            assert!(bad.starts_with(why), "{cells:?}: {bad}");
        }
    }

    #[test]
    fn what_is_no_column_or_no_line() {
        let columns =
            |names: &[&str]| check_columns(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(columns(&["id", "user", "feature"]), Err("it has no column happened_at".into()));
        let other = columns(&["id", "user", "feature", "happened_at", "tokens"]).unwrap_err();
        assert!(other.contains("\"tokens\"") && other.contains("units.UNIT"), "{other}");
        for (line, why) in [
            ("[]", "expected an object"),
            (
                r#"{"id":"i","user":"ann","feature":"chat","amount":-1,"happened_at":"2026-11-30T12:00:00Z"}"#,
                "amount: ",
            ),
            (r#"{"id":"i","user":"ann","feature":"chat","amount":1,"happened_at":"now"}"#, "happened_at: "),
            (r#"{"id":"i","user":"ann","feature":"chat","amount":1}"#, "missing field `happened_at`"),
        ] {
            let bad = of_line(line.as_bytes()).unwrap_err();
            assert!(bad.contains(why), "{line}: {bad}");
        }
    }
}
