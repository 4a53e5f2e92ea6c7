//! A history comes to rest, and is held against the naive pool. Not here: its steps (`history`).

use super::*;

impl History {
    /// Faults stop: every running holder closes everything, and the books must be those of a pool without leases.
    pub(super) fn come_to_rest(&mut self) -> Verdict {
        self.network.clear();
        for node in 0..self.holders.len() {
            let numbers: Vec<LineNumber> = self.holders[node].lines.keys().copied().collect();
            for number in numbers {
                let message = self.holders[node].close(number);
                self.exchange(node, message)?;
            }
            let left = self.holders[node].lines.len();
            same("every line of a running holder can be closed", "lines left", left, 0)?;
        }
        self.tick()?;
        let still_open = self.pool().lines.values().filter(|line| !line.written_off).count();
        same("after all were closed no line is open", "lines", still_open, 0)?;
        if self.pace == Pace::Racy {
            self.charge_naively();
            self.compare_told()?;
        }
        self.compare_books()?;
        self.what_would_have_been_refused_is_reported_once()?;
        checkers::equal_logs_make_equal_states(self.fresh.clone(), &self.log, &self.state)
    }

    /// What was truly charged is spent in the naive pool; what was credited back is its exposure.
    fn charge_naively(&mut self) {
        for ((user, grant, cycle), amount) in &self.charged {
            self.naive.charge(user, grant, *amount, *cycle);
        }
        self.import_naively();
        self.refund_naively();
        let pool = self.state.workspace(&self.workspace).expect("made at the start");
        self.naive.at_rest_as(pool);
    }

    fn compare_told(&self) -> Verdict {
        let mut charged: BTreeMap<&UserId, u64> = BTreeMap::new();
        for ((user, ..), amount) in &self.charged {
            *charged.entry(user).or_default() += amount;
        }
        let users = self.pool().users.keys().chain(self.ghost.told_by_user.keys());
        for name in users {
            let told = self.ghost.told_by_user.get(name).copied().unwrap_or_default();
            let used = charged.get(name).copied().unwrap_or_default();
            let right = if self.is_exact { told == used } else { told <= used + self.exposed() };
            if !right {
                return Err(broken(
                    "users are charged what they were told",
                    format!("{name}: {told}, charged {used}"),
                ));
            }
        }
        Ok(())
    }

    fn exposed(&self) -> u64 {
        self.pool().totals.exposure.micros()
    }

    /// Everything the naive model predicts.
    pub(super) fn compare(&self) -> Verdict {
        self.compare_books()?;
        for (name, user) in &self.naive.users {
            let known = self.pool().user(name);
            let allocation = known.and_then(|user| user.allocation.as_ref());
            let micros =
                |a: &ledger::Allocation| [a.amount(), a.used, a.unused(), a.short].map(Credits::micros);
            let ledger = allocation.map(micros);
            let naive = user.allocation.as_ref().map(|a| [a.amount(), a.used, a.unused(), a.short]);
            same("allocations are as without leases", name.as_str(), ledger, naive)?;
        }
        let pool = self.pool();
        let cost = pool.subscription.as_deref().and_then(|known| known.cost).map(|cost| cost.owed);
        let ledger = (cost, pool.term_goes_on_for().map(u64::from));
        same("plans cost as much, and last as long", "", ledger, self.naive.costs_and_lasts())?;
        same("teams are as without leases", "", self.naive.other_teams(self.pool()), None)
    }

    pub(super) fn compare_books(&self) -> Verdict {
        for grant in &self.pool().grants {
            let Some(naive) = self.naive.grants.get(&grant.id) else {
                // Overage that was drawn and came back.
                same("what is unknown is nothing", grant.id.as_str(), places_of(grant), [0; 4])?;
                continue;
            };
            if naive.is_blurred() {
                continue;
            }
            let (expired, voided) = naive.expired_and_voided();
            let expected = [naive.left(), naive.spent(), expired, voided];
            same(
                "grants are as without leases (available, spent, expired, voided)",
                grant.id.as_str(),
                places_of(grant),
                expected,
            )?;
        }
        for (name, user) in &self.naive.users {
            self.compare_used(name, user.used)?;
        }
        Ok(())
    }
}
