//! Usage of a workspace, grouped as asked.

use crate::answer::{Answer, ok};
use crate::app::App;
use crate::edge::{bad_cursor, cut, page_rows};
use crate::error::Refused;
use crate::extract::{Asked, One};
use crate::translate;
use axum::extract::State;
use quota::{GroupBy, UsageGroup, UsageKey, UsageQuery, UsageReport};
use serde::Deserialize;
use std::sync::Arc;
use types::{Day, Feature, GrantId, Metered, Model, TeamId, UserId, WorkspaceId};
use wire::json::{self, Shown, Text, UnitCounts, Word};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageParameters {
    /// Of `user,owner,team,feature,model,grant`, each at most once, in any order; left out: one sum.
    group_by: Option<String>,
    /// `day` or `month`; left out: one row over all days.
    interval: Option<String>,
    /// First UTC day that counts.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// First UTC day that counts no more.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<String>,
    /// The `cursor` of the page before, with all else unchanged.
    cursor: Option<String>,
    /// Rows of a page, 1 to 500; left out: 100.
    limit: Option<String>,
}

/// Credits, calls and units, grouped.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/usage", tag = "administration", params(UsageParameters),
    responses((status = 200, description = "The rows", body = json::UsageReport)))]
pub(crate) async fn usage(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(parameters): Asked<UsageParameters>,
) -> Answer {
    let (query, limit) = parse(parameters)?;
    let (index, report) = app.read(Box::pin(app.quota()?.usage(&workspace, query))).await?;
    Ok(ok(&report_json(index, report, limit)))
}

/// The query is for one row more than the page has: whether it exists tells whether a page follows.
pub(crate) fn parse(parameters: UsageParameters) -> Result<(UsageQuery, usize), Refused> {
    let UsageParameters { group_by, interval, from, to, cursor, limit } = parameters;
    let named = |field: &'static str| move |bad: String| Refused::invalid(format!("{field}: {bad}"));
    let mut groups: Vec<GroupBy> = Vec::new();
    for text in group_by.iter().flat_map(|list| list.split(',')) {
        let choice = json::GroupBy::read(text).map_err(|bad| named("group_by")(bad.to_string()))?;
        groups.push(translate::group_by(choice));
    }
    groups.sort_unstable();
    if groups.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refused::invalid("group_by: it names one thing twice"));
    }
    let interval = interval.map(|text| json::Interval::read(&text)).transpose();
    let interval = interval.map_err(|bad| named("interval")(bad.to_string()))?;
    let day = |field: &'static str, text: Option<String>| {
        let day = text.map(|text| Day::read(&text)).transpose();
        day.map_err(|bad| named(field)(bad.to_string()))
    };
    let (from, to) = (day("from", from)?, day("to", to)?);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Refused::invalid("to: it must be a later day than from; it does not count itself"));
    }
    let after = cursor.map(|text| read_cursor(&text).ok_or_else(bad_cursor)).transpose()?;
    let (interval, limit) = (interval.map(translate::interval), page_rows(limit)?);
    Ok((UsageQuery { group_by: groups, interval, from, to, after, limit: limit + 1 }, limit))
}

/// A row's seven words; none of them has a comma.
pub(crate) fn cursor_of(key: &UsageKey) -> String {
    let UsageKey { day, user, owner, team, feature, model, grant } = key;
    let day = day.map_or_else(String::new, |day| Shown(&day).to_string());
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    [
        day,
        word(user.as_ref().map(UserId::as_str)),
        word(owner.as_ref().map(UserId::as_str)),
        word(team.as_ref().map(TeamId::as_str)),
        word(feature.as_ref().map(Feature::as_str)),
        word(model.as_ref().map(Model::as_str)),
        word(grant.as_ref().map(GrantId::as_str)),
    ]
    .join(",")
}

fn read_cursor(text: &str) -> Option<UsageKey> {
    fn word<T: Word>(text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { T::read(text).ok().map(Some) }
    }
    let words: Vec<&str> = text.split(',').collect();
    let [day, user, owner, team, feature, model, grant] = words.try_into().ok()?;
    Some(UsageKey {
        day: word(day)?,
        user: word(user)?,
        owner: word(owner)?,
        team: word(team)?,
        feature: word(feature)?,
        model: word(model)?,
        grant: word(grant)?,
    })
}

fn report_json(index: u64, report: UsageReport, limit: usize) -> json::UsageReport {
    let UsageReport { rows, unattributed, at, uncovered } = report;
    let (rows, cursor) = cut(rows, limit, |row| cursor_of(&row.key));
    json::UsageReport {
        rows: rows.into_iter().filter_map(group_json).collect(),
        cursor,
        unattributed: Text(unattributed),
        uncovered: Text(uncovered),
        as_of: json::AsOf { index, time: Text(at) },
    }
}

/// `None` where nothing was used: all of it would have been refused (`shadow`).
fn group_json(group: UsageGroup) -> Option<json::UsageGroup> {
    let UsageGroup { key: UsageKey { day, user, owner, team, feature, model, grant }, metered } = group;
    let (Metered { credits, calls, units, .. }, shadow) = metered.split();
    let is_used = calls > 0 || !credits.is_zero() || shadow.calls() == 0;
    is_used.then(|| json::UsageGroup {
        day: day.map(Text),
        user: user.map(Text),
        owner: owner.map(Text),
        team: team.map(Text),
        feature: feature.map(Text),
        model: model.map(Text),
        grant: grant.map(Text),
        credits: Text(credits),
        calls,
        units: UnitCounts(units.into_iter().map(|(unit, count)| (unit.to_string(), count)).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Interval;
    use types::{Credits, Timestamp, Unit};

    fn parsed(fields: [Option<&str>; 4]) -> Result<UsageQuery, String> {
        paged(fields, None, None).map(|(query, _)| query)
    }

    fn paged(
        fields: [Option<&str>; 4],
        cursor: Option<&str>,
        limit: Option<&str>,
    ) -> Result<(UsageQuery, usize), String> {
        let [group_by, interval, from, to] = fields.map(|field| field.map(Into::into));
        let (cursor, limit) = (cursor.map(Into::into), limit.map(Into::into));
        parse(UsageParameters { group_by, interval, from, to, cursor, limit })
            .map_err(|refused| refused.detail)
    }

    #[test]
    fn a_query_is_read_whole_or_refused_by_field() {
        let query = parsed([Some("model,user"), Some("month"), Some("1970-01-02"), Some("1970-02-01")]);
        assert_eq!(
            query,
            Ok(UsageQuery {
                group_by: vec![GroupBy::User, GroupBy::Model],
                interval: Some(Interval::Month),
                from: Some(Day(1)),
                to: Some(Day(31)),
                after: None,
                limit: 101,
            })
        );
        assert!(parsed([None; 4]).is_ok());
        for (fields, why) in [
            ([Some(""), None, None, None], "group_by: it is one of"),
            ([Some("user,"), None, None, None], "group_by: it is one of"),
            ([Some("user,user"), None, None, None], "group_by: it names"),
            ([Some("colour"), None, None, None], "group_by: it is one of"),
            ([None, Some("week"), None, None], "interval: it is one of"),
            ([None, None, Some("1970-02-30"), None], "from: a day is"),
            ([None, None, None, Some("1970-01-01T00:00:00Z")], "to: a day is"),
            ([None, None, Some("1970-01-02"), Some("1970-01-02")], "to: it must be"),
        ] {
            let detail = parsed(fields).expect_err(why);
            assert!(detail.starts_with(why), "{fields:?}: {detail}");
        }
    }

    #[test]
    fn a_page_begins_behind_the_cursor_of_the_one_before() {
        let keys = [
            UsageKey::default(),
            UsageKey {
                day: Some(Day(1)),
                user: Some(UserId::parse("a@b:c=d+e").unwrap()),
                ..UsageKey::default()
            },
            UsageKey {
                day: Some(Day(-400)),
                user: Some(UserId::parse("ann").unwrap()),
                owner: Some(UserId::parse("bob").unwrap()),
                team: Some(TeamId::parse("design").unwrap()),
                feature: Some(Feature::parse("chat").unwrap()),
                model: Some(Model::parse("m-1").unwrap()),
                grant: Some(GrantId::parse("pack-1").unwrap()),
            },
        ];
        for key in keys {
            let (query, limit) = paged([None; 4], Some(&cursor_of(&key)), Some("500")).unwrap();
            assert_eq!((query.after, query.limit, limit), (Some(key), 501, 500));
        }
        for cursor in ["", "ann", ",,,,,", ",,,,,,,", "1970-02-30,,,,,,", ",b ad,,,,,"] {
            let detail = paged([None; 4], Some(cursor), None).expect_err(cursor);
            assert!(detail.starts_with("cursor: "), "{cursor}: {detail}");
        }
        for limit in ["0", "501", "-1", "many"] {
            let detail = paged([None; 4], None, Some(limit)).expect_err(limit);
            assert!(detail.starts_with("limit: "), "{limit}: {detail}");
        }
    }

    #[test]
    fn the_golden_report() {
        let key = UsageKey {
            day: Some(Day(0)),
            feature: Some(Feature::parse("chat").unwrap()),
            ..UsageKey::default()
        };
        let group = UsageGroup {
            key,
            metered: Metered {
                credits: Credits::whole(3).unwrap(),
                calls: 2,
                units: vec![(Unit::parse("a").unwrap(), 7), (Unit::parse("b").unwrap(), u64::MAX)],
                by_grant: types::ByGrant::default(),
            },
        };
        let rows = vec![group.clone(), group];
        let (unattributed, uncovered) = (Credits::ZERO, Credits::whole(1).unwrap());
        let report = UsageReport { rows, unattributed, at: Timestamp::from_millis(1_500), uncovered };
        let golden = concat!(
            r#"{"rows":[{"day":"1970-01-01","feature":"chat","credits":"3","calls":2,"#,
            r#""units":{"a":7,"b":18446744073709551615}}],"cursor":"1970-01-01,,,,chat,,","unattributed":"0","uncovered":"1","#,
            r#""as_of":{"index":9,"time":"1970-01-01T00:00:01.5Z"}}"#
        );
        assert_eq!(String::from_utf8(json::write(&report_json(9, report, 1))).unwrap(), golden);
    }
}
