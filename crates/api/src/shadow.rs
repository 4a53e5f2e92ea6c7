//! Shadow mode: what would have been refused, summed up. Not here: deciding (`consume`), usage itself (`usage`).

use crate::answer::{Answer, ok};
use crate::app::App;
use crate::edge::cut;
use crate::error::{Code, Refused};
use crate::extract::{Asked, One};
use crate::usage::{UsageParameters, cursor_of, parse};
use axum::extract::State;
use quota::{GroupBy, UsageGroup, UsageKey, UsageQuery, UsageReport};
use std::sync::Arc;
use types::{Shadowed, WorkspaceId, WouldRefuse};
use wire::json::{self, Text};

/// What was allowed in shadow mode, and what would have been refused; grouped as usage is.
#[utoipa::path(get, path = "/v1/workspaces/{ws}/shadow", tag = "administration", params(UsageParameters),
    responses((status = 200, description = "The rows", body = json::ShadowReport)))]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(parameters): Asked<UsageParameters>,
) -> Answer {
    let (query, limit) = parse(parameters)?;
    let query = by_no_grant(query)?;
    let (index, report) = app.read(Box::pin(app.quota()?.usage(&workspace, query))).await?;
    Ok(ok(&report_json(index, report, limit)))
}

/// It is grouped as usage is, but by no grant.
fn by_no_grant(query: UsageQuery) -> Result<UsageQuery, Refused> {
    if query.group_by.contains(&GroupBy::Grant) {
        return Err(Refused::invalid("group_by: no grant pays for what would have been refused"));
    }
    Ok(query)
}

fn code(why: WouldRefuse) -> Code {
    match why {
        WouldRefuse::Exhausted => Code::Exhausted,
        WouldRefuse::AllocationExhausted => Code::AllocationExhausted,
        WouldRefuse::LimitReached => Code::LimitReached,
        WouldRefuse::OverageCapReached => Code::OverageCapReached,
        WouldRefuse::HoldExceeded => Code::HoldExceeded,
        WouldRefuse::AccessDisabled => Code::AccessDisabled,
        WouldRefuse::FeatureNotInPlan => Code::FeatureNotInPlan,
        WouldRefuse::UnknownUser => Code::UnknownUser,
    }
}

/// By the code alone, so that it is answered again as it was.
pub(crate) fn shadowed_json(shadowed: Shadowed) -> json::Shadowed {
    let row = code(shadowed.code).row();
    json::Shadowed {
        code: row.code.into(),
        title: row.title.into(),
        would_have_cost: Text(shadowed.would_have_cost),
    }
}

fn report_json(index: u64, report: UsageReport, limit: usize) -> json::ShadowReport {
    let (rows, cursor) = cut(report.rows, limit, |row| cursor_of(&row.key));
    let as_of = json::AsOf { index, time: Text(report.at) };
    json::ShadowReport { rows: rows.into_iter().map(group_json).collect(), cursor, as_of }
}

fn group_json(group: UsageGroup) -> json::ShadowGroup {
    let UsageGroup { key: UsageKey { day, user, owner, team, feature, model, .. }, metered } = group;
    let (used, shadow) = metered.split();
    let by_code = shadow.by_code.iter().map(|(why, calls)| (code(*why).row().code.to_owned(), *calls));
    json::ShadowGroup {
        day: day.map(Text),
        user: user.map(Text),
        owner: owner.map(Text),
        team: team.map(Text),
        feature: feature.map(Text),
        model: model.map(Text),
        allowed: used.calls,
        credits: Text(used.credits),
        would_refuse: shadow.calls(),
        by_code: by_code.collect(),
        would_have_cost: Text(shadow.would_have_cost),
        share: share(shadow.calls(), used.calls),
    }
}

fn share(refused: u64, allowed: u64) -> String {
    let all = u128::from(refused) + u128::from(allowed);
    let part = (u128::from(refused) * 10_000).checked_div(all).unwrap_or(0);
    format!("{}.{:04}", part / 10_000, part % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Credits, Day, Metered, Timestamp, Unit, UserId};

    #[test]
    fn no_grant_pays_for_what_would_have_been_refused() {
        let by = |group_by| {
            let (interval, from, to, after, limit) = (None, None, None, None, 2);
            by_no_grant(UsageQuery { group_by, interval, from, to, after, limit })
        };
        assert!(by(vec![GroupBy::User, GroupBy::Feature]).is_ok());
        assert!(by(vec![GroupBy::User, GroupBy::Grant]).unwrap_err().detail.starts_with("group_by: "));
    }

    #[test]
    fn the_golden_report() {
        let mut metered = Metered {
            credits: Credits::whole(3).unwrap(),
            calls: 2,
            units: vec![(Unit::parse("token").unwrap(), 7)],
            by_grant: types::ByGrant::default(),
        };
        for why in [WouldRefuse::Exhausted, WouldRefuse::AccessDisabled, WouldRefuse::Exhausted] {
            let units = Shadowed { code: why, would_have_cost: Credits::whole(2).unwrap() }.units();
            metered.add(&Metered { calls: 1, units, ..Metered::default() });
        }
        let key =
            UsageKey { day: Some(Day(0)), user: Some(UserId::parse("ann").unwrap()), ..UsageKey::default() };
        let rows = vec![UsageGroup { key, metered }];
        let (unattributed, uncovered) = (Credits::ZERO, Credits::ZERO);
        let report = UsageReport { rows, unattributed, at: Timestamp::from_millis(1_500), uncovered };
        let golden = concat!(
            r#"{"rows":[{"day":"1970-01-01","user":"ann","allowed":2,"credits":"3","would_refuse":3,"#,
            r#""by_code":{"access_disabled":1,"exhausted":2},"would_have_cost":"6","share":"0.6000"}],"#,
            r#""as_of":{"index":9,"time":"1970-01-01T00:00:01.5Z"}}"#
        );
        assert_eq!(String::from_utf8(json::write(&report_json(9, report, 1))).unwrap(), golden);
    }

    #[test]
    fn a_reason_is_named_as_its_refusal_is() {
        for why in WouldRefuse::ALL {
            assert_eq!(code(why).row().code, why.as_str());
        }
    }

    #[test]
    fn shares_are_rounded_down() {
        assert_eq!(share(0, 0), "0.0000");
        assert_eq!(share(1, 2), "0.3333");
        assert_eq!(share(u64::MAX, 0), "1.0000");
    }
}
