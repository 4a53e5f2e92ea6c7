//! Short aligned tables. Not here: what stands in them.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    /// For numbers.
    Right,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[(&'static str, Side)]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// One cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.head.len(), "a row has a cell for each column");
        self.rows.push(cells.into_iter().map(printable).collect());
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[&str]) -> fmt::Result {
        let mut line = String::new();
        for (column, (cell, (_, side))) in cells.iter().zip(&self.head).enumerate() {
            let width = self.width(column);
            let gap = if column == 0 { "" } else { "  " };
            line.push_str(&match side {
                Side::Left => format!("{gap}{cell:<width$}"),
                Side::Right => format!("{gap}{cell:>width$}"),
            });
        }
        writeln!(f, "{}", line.trim_end())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.head[column].0.chars().count()]).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: Vec<String> = self.head.iter().map(|(name, _)| name.to_uppercase()).collect();
        self.line(f, &head.iter().map(|name| &**name).collect::<Vec<_>>())?;
        self.rows.iter().try_for_each(|row| self.line(f, &row.iter().map(|cell| &**cell).collect::<Vec<_>>()))
    }
}

/// One thing: a name and a value on each line.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {}\n", printable(value.clone()));
    fields.iter().map(line).collect()
}

/// What others named is shown on a terminal: no control characters reach it.
pub(crate) fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        return text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    }
    text
}

/// A value, or a dash for none.
pub(crate) fn or_dash<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let mut table = Table::new(&[("user", Side::Left), ("credits", Side::Right), ("model", Side::Left)]);
        table.row(["ann".into(), "12.5".into(), "m-1".into()]);
        table.row(["somebody-long".into(), "1000000".into(), or_dash::<&str>(None)]);
        let shown = "USER           CREDITS  MODEL\n\
                     ann               12.5  m-1\n\
                     somebody-long  1000000  -\n";
        assert_eq!(table.to_string(), shown);
    }

    #[test]
    fn a_table_without_rows_has_its_head() {
        assert_eq!(Table::new(&[("a", Side::Left), ("b", Side::Right)]).to_string(), "A  B\n");
    }

    #[test]
    fn widths_are_counted_in_characters_and_nothing_steers_the_terminal() {
        let mut table = Table::new(&[("n", Side::Left), ("x", Side::Right)]);
        table.row(["Müller".into(), "1".into()]);
        table.row(["a\u{1b}[2Jb".into(), "2".into()]);
        assert_eq!(table.to_string(), "N       X\nMüller  1\na\u{fffd}[2Jb  2\n");
    }

    #[test]
    fn fields_are_aligned() {
        assert_eq!(fields(&[("a", "1".into()), ("long", "2".into())]), "a     1\nlong  2\n");
    }
}
