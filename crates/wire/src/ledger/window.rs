//! Limits by window, as they are kept and answered, and a zone's clock. Not here: what counts in a window.

use serde::{Deserialize, Serialize};

shapes! {
    pub enum Window { Hour, Day, Week, Cycle }

    pub struct Limits {
        pub by_window: Vec<(Window, u64)>,
        pub revision: u64,
    }

    pub struct Recent {
        pub at: i64,
        pub hour: u64,
        pub day: u64,
        pub week: u64,
    }

    pub enum Subject { User(String), Team(String), Feature(String), Model(String) }

    pub struct Limited {
        pub revision: u64,
        pub features: Vec<String>,
        pub models: Vec<String>,
        pub allowed: Option<Vec<String>>,
    }

    pub struct LimitHit {
        pub of: Subject,
        pub window: Window,
        pub amount: u64,
        pub at: i64,
        pub resets_at: Option<i64>,
    }

    pub struct LimitsAnswer {
        pub of: Subject,
        pub limits: Vec<LimitView>,
        pub out: u64,
        pub revision: u64,
        pub at: i64,
    }

    pub struct LimitView {
        pub window: Window,
        pub amount: u64,
        pub used: u64,
        pub remaining: u64,
        pub starts_at: i64,
        pub resets_at: Option<i64>,
    }

    pub struct ZoneClock {
        pub zone: String,
        /// In seconds, before the first change.
        pub ahead_s: i32,
        pub changes: Vec<(i64, i32)>,
    }
}

#[cfg(test)]
pub(super) mod golden {
    use super::super::golden::{admin, check};
    use super::super::{Applied, Change, Command, Outcome};
    use super::*;

    pub fn clock() -> ZoneClock {
        ZoneClock { zone: "Europe/Berlin".into(), ahead_s: 3_600, changes: vec![(300, 7_200)] }
    }

    fn team() -> Subject {
        Subject::Team("t".into())
    }

    fn user() -> Subject {
        Subject::User("a".into())
    }

    pub fn hit() -> LimitHit {
        LimitHit { of: team(), window: Window::Day, amount: 300, at: 1, resets_at: Some(2) }
    }

    pub fn limits() -> Limits {
        Limits { by_window: vec![(Window::Hour, 1), (Window::Cycle, 300)], revision: 2 }
    }

    pub fn limited() -> Limited {
        Limited {
            revision: 300,
            features: vec!["chat".into()],
            models: vec!["m-1".into()],
            allowed: Some(vec!["chat".into()]),
        }
    }

    pub fn answer() -> LimitsAnswer {
        let view =
            |window| LimitView { window, amount: 1, used: 2, remaining: 3, starts_at: 4, resets_at: None };
        LimitsAnswer { of: user(), limits: vec![view(Window::Week)], out: 5, revision: 6, at: 7 }
    }

    #[test]
    fn limits_are_golden() {
        let set = |window| admin(Change::SetLimit { of: user(), window, amount: None });
        check("limit-hour", set(Window::Hour));
        check("limit-week", set(Window::Week));
        check("limit-cycle", set(Window::Cycle));
        check("limit-team", admin(Change::SetLimit { of: team(), window: Window::Day, amount: Some(300) }));
        let chat = || Subject::Feature("chat".into());
        check(
            "limit-feature",
            admin(Change::SetLimit { of: chat(), window: Window::Day, amount: Some(300) }),
        );
        check("lift-limits-feature", admin(Change::LiftLimits { of: chat() }));
        check("lift-limits-model", admin(Change::LiftLimits { of: Subject::Model("m-1".into()) }));
        check("lift-limits-team", admin(Change::LiftLimits { of: team() }));
        check("lift-limits", admin(Change::LiftLimits { of: user() }));
        check("clock", Command::SetClock { workspace: "w".into(), clock: clock() });
        check("limits-set", Applied { result: Ok(Outcome::Limits(Box::new(answer()))), events: vec![] });
    }
}
