//! Limits by window, and a zone's clock. Not here: what counts in a window.

use super::{Misshapen, Shaped, shaped};
use types::ZoneClock;
use wire::ledger as shape;

shaped! {
    enum types::Window { Hour, Day, Week, Cycle }
    enum ledger::Subject { User(user), Team(team), Feature(feature), Model(model) }
}

shaped! {
    struct types::Limited { revision, features, models, allowed }
    struct ledger::Limits { by_window, revision }
    struct ledger::Recent { at, hour, day, week }
    struct ledger::LimitHit { of, window, amount, at, resets_at }
    struct ledger::LimitsAnswer { of, limits, out, revision, at }
    struct ledger::LimitView { window, amount, used, remaining, starts_at, resets_at }
}

impl Shaped for ZoneClock {
    type Shape = shape::ZoneClock;

    fn shape(&self) -> Self::Shape {
        let changes = self.changes().iter().map(|(at, ahead_s)| (at.shape(), *ahead_s)).collect();
        shape::ZoneClock { zone: self.zone.shape(), ahead_s: self.ahead_s(), changes }
    }

    fn from_shape(shape::ZoneClock { zone, ahead_s, changes }: Self::Shape) -> Result<Self, Misshapen> {
        let change = |(at, ahead_s)| Ok((Shaped::from_shape(at)?, ahead_s));
        let changes = changes.into_iter().map(change).collect::<Result<_, Misshapen>>()?;
        Self::new(Shaped::from_shape(zone)?, ahead_s, changes).map_err(|bad| Misshapen(bad.to_string()))
    }
}
