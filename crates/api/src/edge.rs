//! From given values to good ones: each mistake is refused by the name of its field. Not here: the shape of a body.

use crate::error::Refused;
use crate::limits::{NAME_BYTES_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use quota::Page;
use serde::Deserialize;
use types::{Credits, Money};
use wire::json::{self, Given, GivenAmount, Word};

pub(crate) fn good<T: Word>(field: &str, given: Given<T>) -> Result<T, Refused> {
    given.value().map_err(|bad| Refused::invalid(format!("{field}: {bad}")))
}

pub(crate) fn maybe<T: Word>(field: &str, given: Option<Given<T>>) -> Result<Option<T>, Refused> {
    given.map(|given| good(field, given)).transpose()
}

/// What people are shown of something.
pub(crate) fn shown_name(name: Option<String>) -> Result<Option<String>, Refused> {
    if let Some(name) = &name {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits || name.chars().any(char::is_control) || name.trim().is_empty() {
            return Err(Refused::invalid(format!(
                "name: it has 1 to {NAME_BYTES_MAX} bytes, not all of them spaces, and no control characters"
            )));
        }
    }
    Ok(name)
}

/// An amount of money.
pub(crate) fn money(field: &str, asked: json::PutMoney) -> Result<Money, Refused> {
    let json::PutMoney { amount, currency } = asked;
    let amount = good(field, amount)?;
    let currency = currency.parse().map_err(|why| Refused::invalid(format!("{field}: {why}")))?;
    Ok(Money::up_to_most(amount.micros(), currency))
}

/// An amount that is not zero.
pub(crate) fn positive(field: &str, given: GivenAmount) -> Result<Credits, Refused> {
    let amount = good(field, given)?;
    if amount.is_zero() {
        Err(Refused::invalid(format!("{field}: it must be more than zero")))
    } else {
        Ok(amount)
    }
}

/// The query of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
    /// Rows of a page, 1 to 500; left out: 100.
    pub limit: Option<String>,
}

impl ListQuery {
    /// The page to ask for. It is one row longer than the caller's: whether that row exists tells whether a page
    /// follows.
    pub fn page<Id: Word>(self) -> Result<(Page, usize), Refused> {
        let Self { cursor, limit } = self;
        let after = match cursor {
            Some(id) if Id::read(&id).is_err() => {
                return Err(bad_cursor());
            }
            after => after,
        };
        let limit = page_rows(limit)?;
        Ok((Page { after, limit: limit + 1 }, limit))
    }
}

/// Rows of a page.
pub(crate) fn page_rows(limit: Option<String>) -> Result<usize, Refused> {
    match limit.map(|text| u64::read(&text)).transpose() {
        Ok(None) => Ok(PAGE_ROWS_DEFAULT),
        Ok(Some(rows)) if (1..=PAGE_ROWS_MAX as u64).contains(&rows) => Ok(rows as usize),
        Ok(Some(_)) | Err(_) => Err(Refused::invalid(format!("limit: it is 1 to {PAGE_ROWS_MAX}"))),
    }
}

/// What a cursor that cannot be read is answered.
pub(crate) fn bad_cursor() -> Refused {
    Refused::invalid("cursor: it is the cursor of the page before, unchanged")
}

/// Cuts the row too many off; the cursor is the id of the last row kept, where there was one too many.
pub(crate) fn cut<T>(mut rows: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let cursor = rows.last().filter(|_| more).map(id);
    (rows, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::UserId;

    fn page(cursor: Option<&str>, limit: Option<&str>) -> Result<(Page, usize), Refused> {
        ListQuery { cursor: cursor.map(Into::into), limit: limit.map(Into::into) }.page::<UserId>()
    }

    #[test]
    fn pages_at_their_bounds() {
        assert_eq!(page(None, None), Ok((Page { after: None, limit: 101 }, 100)));
        assert_eq!(page(Some("ann"), Some("1")), Ok((Page { after: Some("ann".into()), limit: 2 }, 1)));
        assert_eq!(page(None, Some("500")).map(|(page, _)| page.limit), Ok(501));
        for limit in ["0", "501", "-1", "1.0", "ten", ""] {
            assert!(page(None, Some(limit)).is_err(), "{limit}");
        }
        assert!(page(Some("a/b"), None).is_err());
        assert!(page(Some(""), None).is_err());
    }

    #[test]
    fn a_cursor_only_where_something_follows() {
        let list = |rows: usize| cut((0..rows).collect(), 2, ToString::to_string);
        assert_eq!(list(0), (vec![], None));
        assert_eq!(list(2), (vec![0, 1], None));
        assert_eq!(list(3), (vec![0, 1], Some("1".into())));
    }
}
