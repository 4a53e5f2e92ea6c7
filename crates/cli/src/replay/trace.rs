//! The recorded requests: when, how many tokens in, how many out. Not here: who made them, and sending them.

use super::sheet::{self, BadCsv, Line};
use std::path::Path;
use types::Timestamp;
use wire::json::Word;

/// One recorded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Since the first request of the trace.
    pub offset_us: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// The first `limit` rows of the file, in order of time.
pub(crate) fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Row>, BadCsv> {
    sheet::read_file(path, &COLUMNS, limit, parse).map(from_first)
}

type Recorded = (i64, u64, u64);

fn parse(line: &Line<'_, 3>) -> Result<Recorded, BadCsv> {
    let at_us = instant_us(line.cell(0))
        .ok_or_else(|| line.bad(0, "it is a time like 2023-11-16 18:17:03.9799600"))?;
    let tokens = |column| line.cell(column).parse().map_err(|_| line.bad(column, "it is a whole number"));
    Ok((at_us, tokens(1)?, tokens(2)?))
}

/// Recorders write in order of completion now and then; what counts is the order of time.
fn from_first(mut recorded: Vec<Recorded>) -> Vec<Row> {
    recorded.sort_by_key(|(at_us, ..)| *at_us);
    let first_us = recorded.first().map_or(0, |(at_us, ..)| *at_us);
    let row = |(at_us, input_tokens, output_tokens): Recorded| Row {
        offset_us: at_us.abs_diff(first_us),
        input_tokens,
        output_tokens,
    };
    recorded.into_iter().map(row).collect()
}

/// Microseconds since 1970 of `2023-11-16 18:17:03.9799600`: a space or a T, up to nine decimals, UTC said or not.
fn instant_us(text: &str) -> Option<i64> {
    let text = text.strip_suffix("+00:00").or(text.strip_suffix('Z')).unwrap_or(text);
    let (day, time) = text.split_once([' ', 'T'])?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let nine_digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    let nanos: i64 = format!("{fraction:0<9}").parse().ok().filter(|_| nine_digits)?;
    let whole = Timestamp::read(&format!("{day}T{seconds}Z")).ok()?;
    whole.millis().checked_mul(1_000)?.checked_add(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, limit: Option<usize>) -> Result<Vec<Row>, String> {
        sheet::read("t.csv", text.as_bytes(), &COLUMNS, limit, parse)
            .map(from_first)
            .map_err(|why| why.to_string())
    }

    fn row(offset_us: u64, input_tokens: u64, output_tokens: u64) -> Row {
        Row { offset_us, input_tokens, output_tokens }
    }

    #[test]
    fn rows_stand_at_their_distance_from_the_first() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                    2023-11-16 18:17:03.9799600,4808,10\n\
                    2023-11-16 18:17:04.0319600,3180,8\n\
                    2023-11-17 00:00:00,0,0\n";
        let rows = vec![row(0, 4808, 10), row(52_000, 3180, 8), row(20_576_020_040, 0, 0)];
        assert_eq!(parsed(text, None), Ok(rows.clone()));
        assert_eq!(parsed(text, Some(2)), Ok(rows[..2].to_vec()));
    }

    #[test]
    fn rows_out_of_order_are_sorted_and_equal_times_keep_their_order() {
        let text = "GeneratedTokens,TIMESTAMP,ContextTokens\n\
                    1,2023-11-16T18:17:05Z,10\n\
                    2,2023-11-16 18:17:04.5+00:00,20\n\
                    3,2023-11-16 18:17:05,30\n";
        assert_eq!(parsed(text, None), Ok(vec![row(0, 20, 2), row(500_000, 10, 1), row(500_000, 30, 3)]));
    }

    #[test]
    fn bad_rows_are_named() {
        for (cells, why) in [
            ("2023-11-16,1,1", "t.csv:3: column TIMESTAMP: it is a time like"),
            ("2023-02-29 00:00:00,1,1", "t.csv:3: column TIMESTAMP"),
            ("2023-11-16 18:17:03.,1,1", "t.csv:3: column TIMESTAMP"),
            ("2023-11-16 18:17:03.1234567890,1,1", "t.csv:3: column TIMESTAMP"),
            ("2023-11-16 18:17:03.-1,1,1", "t.csv:3: column TIMESTAMP"),
            ("yesterday noon,1,1", "t.csv:3: column TIMESTAMP"),
            ("2023-11-16 18:17:03,-1,1", "t.csv:3: column ContextTokens: it is a whole number, not \"-1\""),
            ("2023-11-16 18:17:03,1,1.5", "t.csv:3: column GeneratedTokens: it is a whole number"),
            ("2023-11-16 18:17:03,1", "t.csv:3: the header has 3 columns, this line has 2"),
        ] {
            let text = format!("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n{cells}\n");
            let complaint = parsed(&text, None).expect_err(cells);
            assert!(complaint.starts_with(why), "{cells}: {complaint}");
        }
    }
}
