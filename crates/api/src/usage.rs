//! Usage of a workspace, grouped as asked.

use crate::answer::{Answer, ok};
use crate::app::App;
use crate::error::Refused;
use crate::extract::{Asked, One};
use crate::translate;
use axum::extract::State;
use quota::{GroupBy, UsageGroup, UsageQuery, UsageReport};
use serde::Deserialize;
use std::sync::Arc;
use types::{Day, Metered, WorkspaceId};
use wire::json::{self, Text, UnitCounts, Word};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageParameters {
    /// Of `user,team,feature,model`, each at most once, in any order; left out: one sum.
    group_by: Option<String>,
    /// `day` or `month`; left out: one row over all days.
    interval: Option<String>,
    /// First UTC day that counts.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<String>,
    /// First UTC day that counts no more.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<String>,
}

/// Credits, calls and units, grouped.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/usage", tag = "administration", params(UsageParameters),
    responses((status = 200, description = "The rows", body = json::UsageReport)))]
pub(crate) async fn usage(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(parameters): Asked<UsageParameters>,
) -> Answer {
    let query = parse(parameters)?;
    let report = app.read(Box::pin(app.quota()?.usage(&workspace, query))).await?;
    Ok(ok(&report_json(report)))
}

fn parse(parameters: UsageParameters) -> Result<UsageQuery, Refused> {
    let UsageParameters { group_by, interval, from, to } = parameters;
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
    Ok(UsageQuery { group_by: groups, interval: interval.map(translate::interval), from, to })
}

fn report_json(report: UsageReport) -> json::UsageReport {
    let UsageReport { rows, unattributed } = report;
    json::UsageReport { rows: rows.into_iter().map(group_json).collect(), unattributed: Text(unattributed) }
}

fn group_json(group: UsageGroup) -> json::UsageGroup {
    let UsageGroup { day, user, team, feature, model, metered } = group;
    let Metered { credits, calls, units } = metered;
    json::UsageGroup {
        day: day.map(Text),
        user: user.map(Text),
        team: team.map(Text),
        feature: feature.map(Text),
        model: model.map(Text),
        credits: Text(credits),
        calls,
        units: UnitCounts(units.into_iter().map(|(unit, count)| (unit.to_string(), count)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::Interval;
    use types::{Credits, Feature, Unit};

    fn parsed(fields: [Option<&str>; 4]) -> Result<UsageQuery, String> {
        let [group_by, interval, from, to] = fields.map(|field| field.map(Into::into));
        parse(UsageParameters { group_by, interval, from, to }).map_err(|refused| refused.detail)
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
    fn the_golden_report() {
        let group = UsageGroup {
            day: Some(Day(0)),
            user: None,
            team: None,
            feature: Some(Feature::parse("chat").unwrap()),
            model: None,
            metered: Metered {
                credits: Credits::whole(3).unwrap(),
                calls: 2,
                units: vec![(Unit::parse("a").unwrap(), 7), (Unit::parse("b").unwrap(), u64::MAX)],
            },
        };
        let report = UsageReport { rows: vec![group], unattributed: Credits::ZERO };
        let golden = concat!(
            r#"{"rows":[{"day":"1970-01-01","feature":"chat","credits":"3","calls":2,"#,
            r#""units":{"a":7,"b":18446744073709551615}}],"unattributed":"0"}"#
        );
        assert_eq!(String::from_utf8(json::write(&report_json(report))).unwrap(), golden);
    }
}
