//! Limits without leases: what was charged in a window, and the price, are not above them.

use super::{Allowed, Pool, allow};
use types::{Credits, Timestamp, UserId, Window};

impl Pool {
    /// `window`: of this one, or of all.
    pub(super) fn set_limit(
        &mut self,
        user: &UserId,
        window: Option<Window>,
        amount: Option<Credits>,
    ) -> Allowed {
        allow(self.may_be_named(user))?;
        let limits = &mut self.user(user).limits;
        limits.retain(|known, _| window.is_some_and(|window| *known != window));
        if let (Some(window), Some(amount)) = (window, amount) {
            limits.insert(window, amount.micros());
        }
        Ok(())
    }

    pub(super) fn passes_a_limit(&self, name: &UserId, price: u64, now: Timestamp) -> bool {
        let Some(user) = self.users.get(name) else { return false };
        let passes = |(window, limit): (&Window, &u64)| {
            let used = match window {
                Window::Cycle => user.used - user.refunded + user.by_services,
                Window::Hour | Window::Day | Window::Week => self.charges.in_window(name, *window, now),
            };
            used + price > *limit
        };
        user.limits.iter().any(passes)
    }
}
