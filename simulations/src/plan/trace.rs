//! Recorded traffic: a CSV with a time and, as far as it knows them, who asked in which workspace for how much. Columns
//! are found by their usual names, so that most recordings need no conversion. Not here: what is drawn for what a recording
//! does not know (`load`).

use super::text::{BadPlan, Text};
use types::Credits;

/// One row, its time from the first row on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub at_us: u64,
    /// Where in the file it stands; from 1.
    pub line: u32,
    pub user: Option<String>,
    pub workspace: Option<String>,
    pub size: Size,
}

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Credits(Credits),
    Tokens { input: u64, output: u64 },
    Unknown,
}

/// A balance holds little more, so nobody can be charged more at once.
pub const PRICE_MAX: Credits = Credits::whole(200_000_000).expect("below the bound of credits");

/// More rows are no trace of one run.
pub const ROWS_MAX: usize = 5_000_000;

/// Names of columns, in lower case and without `_`.
const TIME: [&str; 7] = ["timestamp", "time", "at", "arrivedat", "createdat", "starttime", "date"];
const USER: [&str; 5] = ["user", "userid", "member", "client", "clientid"];
const WORKSPACE: [&str; 5] = ["workspace", "workspaceid", "organization", "org", "tenant"];
const CREDITS: [&str; 4] = ["credits", "amount", "cost", "price"];
const INPUT: [&str; 4] = ["inputtokens", "contexttokens", "prompttokens", "requesttokens"];
const OUTPUT: [&str; 4] = ["outputtokens", "generatedtokens", "completiontokens", "responsetokens"];

struct Columns {
    time: usize,
    user: Option<usize>,
    workspace: Option<usize>,
    credits: Option<usize>,
    input: Option<usize>,
    output: Option<usize>,
}

fn bad_csv(text: &Text, why: &csv::Error) -> BadPlan {
    let line = why.position().and_then(|at| usize::try_from(at.line()).ok()).unwrap_or(1);
    BadPlan { line, ..text.wrong_as_a_whole(why.to_string()) }
}

/// Reads a recording; its rows come out by time.
///
/// # Errors
/// A row or the header is not understood; the error names line and column.
pub fn parse(text: &Text) -> Result<Vec<Row>, BadPlan> {
    parse_at_most(text, ROWS_MAX)
}

fn parse_at_most(text: &Text, rows_max: usize) -> Result<Vec<Row>, BadPlan> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.content.as_bytes());
    let headers = reader.headers().map_err(|why| bad_csv(text, &why))?.clone();
    let columns = columns(text, &headers)?;
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let more = reader.read_record(&mut record).map_err(|why| bad_csv(text, &why))?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or(0));
        if rows.len() == rows_max {
            return Err(BadPlan { line, ..text.wrong_as_a_whole(format!("at most {rows_max} rows")) });
        }
        let wrong = |column: usize, why: String| BadPlan {
            file: text.name.clone(),
            line,
            field: headers.get(column).unwrap_or_default().to_owned(),
            why,
        };
        let at = |column: usize| record.get(column).unwrap_or_default();
        let number = |column: usize| {
            let parsed: Result<u64, _> = at(column).parse();
            parsed.map_err(|_| wrong(column, format!("{:?} is no whole number", at(column))))
        };
        let size = match (columns.credits, columns.input, columns.output) {
            (Some(credits), _, _) => {
                let parsed: Result<Credits, _> = at(credits).parse();
                let amount = parsed.map_err(|why| wrong(credits, format!("{:?}: {why}", at(credits))))?;
                if amount > PRICE_MAX {
                    return Err(wrong(credits, format!("{amount}: at most {PRICE_MAX} credits at once")));
                }
                Size::Credits(amount)
            }
            (None, None, None) => Size::Unknown,
            (None, input, output) => {
                Size::Tokens { input: input.map_or(Ok(0), number)?, output: output.map_or(Ok(0), number)? }
            }
        };
        let at_us = time_us(at(columns.time)).map_err(|why| wrong(columns.time, why))?;
        let owned = |column: Option<usize>| column.map(|column| at(column).to_owned());
        rows.push((
            at_us,
            Row {
                at_us: 0,
                line: u32::try_from(line).unwrap_or(u32::MAX),
                user: owned(columns.user),
                workspace: owned(columns.workspace),
                size,
            },
        ));
    }
    rows.sort_by_key(|(at_us, _)| *at_us);
    let Some((first_us, _)) = rows.first() else { return Err(text.wrong_as_a_whole("it has no rows")) };
    let first_us = *first_us;
    let since = |at_us: i128| u64::try_from(at_us - first_us).unwrap_or(u64::MAX);
    Ok(rows.into_iter().map(|(at_us, row)| Row { at_us: since(at_us), ..row }).collect())
}

/// Where in a file the columns of these names stand.
fn find(headers: &csv::StringRecord, names: &[&str]) -> Option<usize> {
    let plain = |name: &str| name.to_lowercase().replace(['_', ' ', '-'], "");
    headers.iter().position(|header| names.contains(&&*plain(header)))
}

fn columns(text: &Text, headers: &csv::StringRecord) -> Result<Columns, BadPlan> {
    let Some(time) = find(headers, &TIME) else {
        let why = format!("no column of times; it may be called {}", TIME.join(", "));
        return Err(BadPlan { line: 1, ..text.wrong_as_a_whole(why) });
    };
    Ok(Columns {
        time,
        user: find(headers, &USER),
        workspace: find(headers, &WORKSPACE),
        credits: find(headers, &CREDITS),
        input: find(headers, &INPUT),
        output: find(headers, &OUTPUT),
    })
}

/// Seconds with a fraction, a date and time, or that with an offset; microseconds since whenever.
fn time_us(text: &str) -> Result<i128, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() || seconds.abs() > 1e12 {
            return Err(format!("{text:?} is no time"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        return Ok((seconds * 1e6) as i128);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(i128::from(time.as_microsecond()));
    }
    let civil: jiff::civil::DateTime = text.parse().map_err(|_| {
        format!("{text:?} is no time such as 12.5 (seconds), 2026-03-01 12:00:03.5 or 2026-03-01T12:00:03Z")
    })?;
    let zoned = civil.to_zoned_datetime(jiff::tz::TimeZone::UTC).map_err(|why| why.to_string())?;
    Ok(i128::from(zoned.timestamp().as_microsecond()))
}

/// Who was active when: rates of requests by client and window, as traces of services publish them.
#[derive(Clone, Debug, PartialEq)]
pub struct Clients {
    /// Starts of windows in seconds, rising; and who asked in them at what rate.
    windows: Vec<(u64, Vec<(usize, f64)>)>,
    pub count: usize,
}

impl Clients {
    /// Reads columns `client`, `window_start_s` and `requests_per_s`.
    ///
    /// # Errors
    /// A row or the header is not understood.
    pub fn parse(text: &Text) -> Result<Self, BadPlan> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.content.as_bytes());
        let headers = reader.headers().map_err(|why| bad_csv(text, &why))?.clone();
        let named = [
            find(&headers, &["client", "user"]),
            find(&headers, &["windowstarts"]),
            find(&headers, &["requestspers"]),
        ];
        let [Some(client), Some(start), Some(rate)] = named else {
            let why = "columns client, window_start_s and requests_per_s are needed";
            return Err(BadPlan { line: 1, ..text.wrong_as_a_whole(why) });
        };
        let mut names: Vec<String> = Vec::new();
        let mut windows: std::collections::BTreeMap<u64, Vec<(usize, f64)>> =
            std::collections::BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|why| bad_csv(text, &why))?;
            let line = record.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or(0));
            let at = |column: usize| record.get(column).unwrap_or_default();
            let wrong = |column: usize| BadPlan {
                file: text.name.clone(),
                line,
                field: headers.get(column).unwrap_or_default().to_owned(),
                why: format!("{:?} is no such number", at(column)),
            };
            let started: u64 = at(start).parse().map_err(|_| wrong(start))?;
            let per_s: f64 = at(rate).parse().map_err(|_| wrong(rate))?;
            if !per_s.is_finite() || per_s < 0.0 {
                return Err(wrong(rate));
            }
            let known = names.iter().position(|name| name == at(client));
            let number = known.unwrap_or_else(|| {
                names.push(at(client).to_owned());
                names.len() - 1
            });
            windows.entry(started).or_default().push((number, per_s));
        }
        if windows.is_empty() {
            return Err(text.wrong_as_a_whole("it has no rows"));
        }
        Ok(Self { windows: windows.into_iter().collect(), count: names.len() })
    }

    /// Who asked, `at_s` after the first window began: `dice` below 1 falls on one of those active then.
    #[must_use]
    pub fn who(&self, at_s: u64, dice: f64) -> usize {
        let at_s = self.windows[0].0.saturating_add(at_s);
        let window = self.windows.partition_point(|(start, _)| *start <= at_s).saturating_sub(1);
        let active = &self.windows[window].1;
        let all: f64 = active.iter().map(|(_, rate)| rate).sum();
        let mut left = dice * all;
        for (client, rate) in active {
            left -= rate;
            if left < 0.0 {
                return *client;
            }
        }
        active.last().map_or(0, |(client, _)| *client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Text {
        Text { name: "mine.csv".into(), content: content.into() }
    }

    fn complaint(content: &str) -> String {
        parse(&text(content)).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_found_by_their_usual_names_and_rows_come_by_time() {
        let rows = parse(&text(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:04.5,30,8\n2023-11-16 18:17:03.25,4,10\n",
        ));
        let rows = rows.unwrap();
        assert_eq!((rows[0].at_us, rows[1].at_us), (0, 1_250_000));
        assert_eq!(rows[0].size, Size::Tokens { input: 4, output: 10 });
        let rows = parse(&text("at, User-Id, Org, Credits\n0.5, ada, acme, 0.25\n")).unwrap();
        assert_eq!((rows[0].user.as_deref(), rows[0].workspace.as_deref()), (Some("ada"), Some("acme")));
        assert_eq!(rows[0].size, Size::Credits("0.25".parse().unwrap()));
        let rows = parse(&text("time\n2026-03-01T12:00:03Z\n2026-03-01T13:00:04+01:00\n")).unwrap();
        assert_eq!((rows[1].at_us, rows[1].size), (1_000_000, Size::Unknown));
    }

    #[test]
    fn what_is_not_understood_is_named_by_line_and_column() {
        assert!(complaint("user,credits\n").starts_with("mine.csv, line 1: no column of times"));
        assert_eq!(complaint("time,credits\n"), "mine.csv: it has no rows");
        assert!(
            complaint("time,credits\n1,2\nnoon,2\n")
                .starts_with("mine.csv, line 3, time: \"noon\" is no time")
        );
        assert!(parse(&text("time,credits\n1,200000000\n")).is_ok());
        assert!(complaint("time,credits\n1,200000001\n").ends_with("at most 200000000 credits at once"));
        assert!(complaint("time,credits\n1,-2\n").starts_with("mine.csv, line 2, credits: \"-2\""));
        assert!(
            complaint("time,input_tokens\n1,few\n")
                .contains("line 2, input_tokens: \"few\" is no whole number")
        );
    }

    #[test]
    fn the_row_past_the_bound_is_named() {
        let content = "time,credits\n1,2\n2,2\n3,2\n";
        assert_eq!(parse_at_most(&text(content), 3).unwrap().len(), 3);
        let why = parse_at_most(&text(content), 2).unwrap_err().to_string();
        assert_eq!(why, "mine.csv, line 4: at most 2 rows");
        assert_eq!(parse(&text(content)).unwrap()[1].line, 3);
    }

    #[test]
    fn clients_are_drawn_by_their_rates() {
        let clients = Clients::parse(&text(
            "client,window_start_s,requests_per_s,cv\na,600,3,1\nb,600,1,1\nb,1200,5,1\n",
        ));
        let clients = clients.unwrap();
        assert_eq!(clients.count, 2);
        assert_eq!((clients.who(0, 0.0), clients.who(0, 0.74), clients.who(599, 0.76)), (0, 0, 1));
        assert_eq!((clients.who(600, 0.0), clients.who(9_999, 0.99)), (1, 1));
    }
}
