//! A workspace: its settings and the summary of its pool.

use crate::answer::{Answer, ok, other_outcome, with_etag};
use crate::app::App;
use crate::cycles;
use crate::edge::{maybe, shown_name};
use crate::error::Refused;
use crate::extract::{Asked, Body, Conditions, One};
use crate::limits::BODY_BYTES_MAX;
use crate::translate;
use axum::extract::State;
use quota::{Change, Outcome, Summary, WorkspaceSettings, WorkspaceView};
use serde::Deserialize;
use std::sync::Arc;
use types::WorkspaceId;
use wire::json::{self, Text};

/// Makes a workspace or changes its settings; what is left out stays as it is.
#[utoipa::path(put, path = "/v1/workspaces/{ws}", tag = "administration",
    request_body = json::PutWorkspace, responses((status = 200, description = "The settings", body = json::Settings)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    conditions: Conditions,
    Body(asked): Body<json::PutWorkspace, BODY_BYTES_MAX>,
) -> Answer {
    let change = Change::PutWorkspace(parse(asked)?);
    match app.administer(workspace, conditions, change).await? {
        Outcome::Workspace(view) => Ok(with_etag(ok(&settings_json(&view)), view.revision)),
        _ => Err(other_outcome()),
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freshness {
    /// `true`: the holders are asked first (at most a second).
    fresh: Option<bool>,
}

/// The summary of a workspace's pool.
#[utoipa::path(get, path = "/v1/workspaces/{ws}", tag = "administration", params(Freshness),
    responses((status = 200, description = "The summary", body = json::Workspace)))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    One(workspace): One<WorkspaceId>,
    Asked(Freshness { fresh }): Asked<Freshness>,
) -> Answer {
    let summary = app.read(Box::pin(app.quota()?.workspace(&workspace, fresh.unwrap_or(false)))).await?;
    let revision = summary.view.revision;
    Ok(with_etag(ok(&summary_json(summary)), revision))
}

fn parse(asked: json::PutWorkspace) -> Result<WorkspaceSettings, Refused> {
    let json::PutWorkspace { name, membership, durability, enforcement, timezone, cycle } = asked;
    Ok(WorkspaceSettings {
        name: shown_name(name)?,
        membership: maybe("membership", membership)?.map(translate::membership),
        durability: maybe("durability", durability)?.map(Into::into),
        enforcement: maybe("enforcement", enforcement)?.map(Into::into),
        timezone: maybe("timezone", timezone)?,
        cycle: cycle.map(cycles::days).transpose()?,
        ends: None,
        began: None,
        clock: None,
    })
}

fn cycle_json(view: &WorkspaceView) -> json::Cycle {
    json::Cycle {
        number: view.cycle.0,
        starts_at: Text(view.cycle_starts_at),
        ends_at: view.cycle_ends_at.map(Text),
        every: view.cycle_rule.as_ref().map(|rule| Text(translate::every_json(rule.every))),
        anchor: view.cycle_rule.as_ref().map(|rule| Text(rule.anchor)),
    }
}

fn settings_json(view: &WorkspaceView) -> json::Settings {
    json::Settings {
        workspace: Text(view.id.clone()),
        name: view.name.clone(),
        membership: Text(translate::membership_json(view.membership)),
        durability: Text(view.durability.into()),
        enforcement: Text(view.enforcement.into()),
        timezone: Text(view.timezone.clone()),
        cycle: cycle_json(view),
    }
}

fn summary_json(summary: Summary) -> json::Workspace {
    let Summary { view, unreachable, index } = summary;
    json::Workspace {
        cycle: cycle_json(&view),
        workspace: Text(view.id),
        name: view.name,
        membership: Text(translate::membership_json(view.membership)),
        durability: Text(view.durability.into()),
        enforcement: Text(view.enforcement.into()),
        pooling: Text(translate::pooling_json(view.pooling)),
        timezone: Text(view.timezone),
        granted: Text(view.granted),
        used: Text(view.used),
        refunded: Text(view.refunded),
        held: Text(view.held),
        remaining: Text(view.available.saturating_add(view.leased)),
        available: Text(view.available),
        leased: Text(view.leased),
        unreachable: Text(unreachable),
        allocated: Text(view.allocated),
        short: Text(view.short),
        reserved: Text(view.reserved),
        shared: Text(view.shared),
        unattributed: Text(view.unattributed),
        written_off: Text(view.written_off),
        exposure: Text(view.exposure),
        pending: Text(view.pending),
        uncovered: Text(view.uncovered),
        as_of: json::AsOf { index, time: Text(view.at) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quota::{Membership, Pooling};
    use std::collections::BTreeMap;
    use types::{
        CivilDate, Credits, CycleDays, CycleNumber, CycleRule, Durability, Enforcement, Every, Revision,
        Timestamp, ZoneName,
    };

    fn monthly() -> CycleDays {
        CycleDays { every: Every::Month, anchor: CivilDate::new(2026, 1, 31).unwrap() }
    }

    fn view() -> WorkspaceView {
        let whole = |credits| Credits::whole(credits).unwrap();
        WorkspaceView {
            id: WorkspaceId::parse("acme").unwrap(),
            name: "Acme".into(),
            membership: Membership::Listed,
            durability: Durability::Disk,
            enforcement: Enforcement::Shadow,
            pooling: Pooling::Pooled,
            cycle: CycleNumber(3),
            cycle_starts_at: Timestamp::from_millis(0),
            cycle_ends_at: Some(Timestamp::from_millis(2_592_000_000)),
            timezone: ZoneName::utc(),
            cycle_rule: Some(CycleRule::of(monthly(), ZoneName::utc())),
            granted: whole(100),
            used: whole(10),
            refunded: whole(3),
            held: whole(5),
            available: whole(65),
            leased: whole(20),
            leased_by_node: BTreeMap::new(),
            allocated: whole(40),
            short: whole(3),
            reserved: Credits::ZERO,
            shared: whole(30),
            unattributed: whole(1),
            written_off: Credits::ZERO,
            exposure: Credits::ZERO,
            pending: whole(2),
            revision: Revision(7),
            at: Timestamp::from_millis(1_500),
            uncovered: whole(4),
        }
    }

    #[test]
    fn the_golden_summary() {
        let summary = Summary { view: view(), unreachable: Credits::whole(4).unwrap(), index: 99 };
        let golden = concat!(
            r#"{"workspace":"acme","name":"Acme","membership":"listed","durability":"disk","#,
            r#""enforcement":"shadow","pooling":"pooled","timezone":"UTC","cycle":{"number":3,"starts_at":"1970-01-01T00:00:00Z","#,
            r#""ends_at":"1970-01-31T00:00:00Z","every":"month","anchor":"2026-01-31"},"#,
            r#""granted":"100","used":"10","refunded":"3","held":"5","remaining":"85","available":"65","leased":"20","#,
            r#""unreachable":"4","allocated":"40","short":"3","reserved":"0","shared":"30","unattributed":"1","#,
            r#""written_off":"0","exposure":"0","pending":"2","uncovered":"4","#,
            r#""as_of":{"index":99,"time":"1970-01-01T00:00:01.5Z"}}"#
        );
        assert_eq!(String::from_utf8(json::write(&summary_json(summary))).unwrap(), golden);
    }

    #[test]
    fn cycles_are_read_and_what_is_none_is_named() {
        let parsed =
            |body: &str| parse(json::read(body.as_bytes()).unwrap()).map_err(|refused| refused.detail);
        let asked = parsed(r#"{"timezone":"Europe/Berlin","cycle":{"every":"month","anchor":"2026-01-31"}}"#);
        let asked = asked.unwrap();
        assert_eq!((asked.cycle, asked.ends), (Some(monthly()), None));
        assert_eq!(asked.timezone.unwrap().as_str(), "Europe/Berlin");
        for (body, why) in [
            (r#"{"timezone":"Berlin Mitte"}"#, "timezone: a zone is an IANA name"),
            (r#"{"cycle":{"every":"week","anchor":"2026-01-31"}}"#, "cycle.every: it is one of: month year"),
            (r#"{"cycle":{"every":"month","anchor":"2026-02-30"}}"#, "cycle.anchor: there is no 2026-02-30"),
            (r#"{"cycle":{"every":"month","anchor":"31.1.2026"}}"#, "cycle.anchor: a date is written"),
        ] {
            let refused = parsed(body).unwrap_err();
            assert!(refused.starts_with(why), "{body}: {refused}");
        }
    }

    #[test]
    fn a_name_at_its_bounds() {
        let name = |name: &str| {
            let (membership, durability, enforcement, timezone, cycle) = Default::default();
            let name = Some(name.into());
            parse(json::PutWorkspace { name, membership, durability, enforcement, timezone, cycle })
        };
        assert!(name("a").is_ok());
        assert!(name(&"ü".repeat(100)).is_ok());
        for bad in ["", "  ", "a\nb", "a\u{7f}", &"ü".repeat(101), &"a".repeat(201)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
