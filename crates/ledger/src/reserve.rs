//! What is set aside, for a user as his allocation or for a team as its reserve, found by whose it is or by its number.
//!
//! A reserve is an allocation that all members of a team draw on, and of the teams nested in it. It is funded alike, cut
//! alike, renewed alike, and what comes back to it is for its members alone. Not here: what is decided about a user's
//! (`admin`), the teams (`team`), the draw (`draw`).

use crate::admin::Shift;
use crate::allocation::{Allocation, AllocationNo, Earmarks, Overflow, Owner};
use crate::limits;
use crate::line::Line;
use crate::outcome::Rejection;
use crate::team::Team;
use crate::workspace::{User, Workspace};
use std::collections::BTreeMap;
use types::{Credits, CreditsDelta, LineId, Source, TeamId, Timestamp, UserId};

impl Workspace {
    /// Of users, then of teams.
    pub fn allocations(&self) -> impl Iterator<Item = (Owner, &Allocation)> {
        let users = self.users.iter().filter_map(|(name, user)| {
            let allocation = user.allocation.as_ref()?;
            Some((Owner::User(name.clone()), allocation))
        });
        let teams = self.teams.iter().filter_map(|(name, team)| {
            let reserve = team.reserve.as_ref()?;
            Some((Owner::Team(name.clone()), reserve))
        });
        users.chain(teams)
    }

    pub fn allocation_of(&self, owner: &Owner) -> Option<&Allocation> {
        match owner {
            Owner::User(user) => self.users.get(user)?.allocation.as_ref(),
            Owner::Team(team) => self.teams.get(team)?.reserve.as_ref(),
        }
    }

    pub(crate) fn allocation_mut(&mut self, owner: &Owner) -> Option<&mut Allocation> {
        match owner {
            Owner::User(user) => self.users.get_mut(user)?.allocation.as_mut(),
            Owner::Team(team) => self.teams.get_mut(team)?.reserve.as_mut(),
        }
    }

    /// The owner's allocation or reserve, if it is still the one meant.
    pub(crate) fn current_allocation(&mut self, owner: &Owner, no: AllocationNo) -> Option<&mut Allocation> {
        self.allocation_mut(owner).filter(|allocation| allocation.no == no)
    }

    /// Where it stands, or will.
    pub(crate) fn place_of(&mut self, owner: &Owner) -> &mut Option<Allocation> {
        match owner {
            Owner::User(user) => &mut self.user_mut(user).allocation,
            Owner::Team(team) => &mut self.teams.get_mut(team).expect("a reserve is of a known team").reserve,
        }
    }

    /// The one he has, or a new one with nothing in it.
    pub(crate) fn give_allocation(&mut self, owner: &Owner, overflow: Overflow) -> &mut Allocation {
        if self.allocation_of(owner).is_none() {
            let no = self.next_allocation;
            self.next_allocation = no.next();
            *self.place_of(owner) = Some(Allocation::new(no, overflow));
            if let Owner::Team(team) = owner {
                self.reserves.insert(no, team.clone());
            }
        }
        self.allocation_mut(owner).expect("made above")
    }

    /// Whose number that is, the user's or a team's, where it is still there. `user`: on whose chain it was drawn.
    pub(crate) fn owner_of(&self, user: &UserId, no: AllocationNo) -> Option<Owner> {
        let own = Owner::User(user.clone());
        if self.allocation_of(&own).is_some_and(|allocation| allocation.no == no) {
            return Some(own);
        }
        self.reserves.get(&no).cloned().map(Owner::Team)
    }

    /// What a line drew on under this source, if it is still there.
    pub(crate) fn still_behind(&self, line: &Line, source: Source) -> Option<(Owner, AllocationNo)> {
        let no = line.behind(source)?;
        Some((self.owner_of(line.draws_on(), no)?, no))
    }

    /// What a draw by this user under this source is taken from; `None`: nothing that is set aside.
    pub(crate) fn drawn_by(&self, user: &UserId, source: Source) -> Option<(Owner, AllocationNo)> {
        let user = self.chain_of(user);
        let owner = match source {
            Source::Allocation => Owner::User(user.clone()),
            Source::Reserve(level) => {
                let (team, _) = self.teams_of(user).nth(usize::from(level))?;
                Owner::Team(team.clone())
            }
            Source::Shared | Source::Overage => return None,
        };
        let no = self.allocation_of(&owner)?.no;
        Some((owner, no))
    }

    /// The reserves that a user may draw on, innermost first. Whom his allocation keeps to itself may draw on none.
    pub fn reserves_for<'a>(&'a self, user: &'a UserId) -> impl Iterator<Item = (Source, &'a Allocation)> {
        self.reserves_of(self.chain_user(user))
    }

    /// Those on the chain of one of whom this is known.
    pub(crate) fn reserves_of<'a>(
        &'a self,
        whose: Option<&'a User>,
    ) -> impl Iterator<Item = (Source, &'a Allocation)> {
        let levels = if whose.is_some_and(User::keeps_to_himself) { 0 } else { limits::TEAM_DEPTH_MAX };
        let teams = (0_u8..).zip(self.teams_around(whose)).take(levels);
        teams.filter_map(|(level, (_, team))| Some((Source::Reserve(level), team.reserve.as_ref()?)))
    }

    /// How it becomes that amount: a raise is funded by what is shared, a cut gives up what is unused.
    pub(crate) fn shift_to(&self, owner: &Owner, amount: Credits, at: Timestamp) -> Result<Shift, Rejection> {
        let now = self.allocation_of(owner).map_or(Credits::ZERO, Allocation::amount);
        let mut shift = Shift::default();
        if amount > now {
            shift.fund = self.fund(amount.saturating_sub(now), None, &Earmarks::default(), at)?;
        } else {
            (shift.release, shift.pledge) = self.give_up(owner, now.saturating_sub(amount));
        }
        Ok(shift)
    }

    /// How up to `amount` of what is unused is given up: set-aside credits first, last in burn order first; then what is out
    /// on lines. What is used stays used.
    pub(crate) fn give_up(&self, owner: &Owner, amount: Credits) -> (Earmarks, Vec<(LineId, Credits)>) {
        let mut left = amount;
        let mut release = Earmarks::default();
        let mut pledge = Vec::new();
        let Some(allocation) = self.allocation_of(owner).filter(|_| !amount.is_zero()) else {
            return (release, pledge);
        };
        for grant in self.grants_in_burn_order().rev() {
            if left.is_zero() {
                break;
            }
            let part = left.min(allocation.earmarks.on(grant.no));
            release.add(grant.no, part);
            left.shrink(part);
        }
        if left.is_zero() {
            return (release, pledge);
        }
        for id in self.lines_that_may_draw_on(owner) {
            let line = &self.lines[&id];
            if line.written_off {
                continue;
            }
            let (out, pledged) = line.out_of(allocation.no);
            let part = left.min(out.saturating_sub(pledged));
            if !part.is_zero() {
                pledge.push((id, part));
                left.shrink(part);
            }
        }
        (release, pledge)
    }

    /// A user's lines in the order in which they were opened; of a team everybody's.
    fn lines_that_may_draw_on(&self, owner: &Owner) -> Vec<LineId> {
        match owner {
            Owner::User(user) => self.lines_of(user, |_| true),
            Owner::Team(_) => self.lines.keys().copied().collect(),
        }
    }

    /// For `violations`.
    pub(crate) fn reserves_sums_are_what_lines_say(&self) -> Option<String> {
        let mut of_lines: BTreeMap<AllocationNo, (Credits, Credits)> = BTreeMap::new();
        for line in self.lines.values() {
            for (_, no) in &line.reserves {
                let (out, pledged) = line.out_of(*no);
                let sums = of_lines.entry(*no).or_insert((Credits::ZERO, Credits::ZERO));
                *sums = (sums.0.saturating_add(out), sums.1.saturating_add(pledged));
            }
        }
        for (name, team) in &self.teams {
            let Some(reserve) = &team.reserve else { continue };
            let lines = of_lines.get(&reserve.no).copied().unwrap_or((Credits::ZERO, Credits::ZERO));
            if lines != (reserve.out, reserve.pledged) || reserve.pledged > reserve.out {
                return Some(format!("{name}: {reserve:?}, lines say out and pledged {lines:?}"));
            }
        }
        let counted = self.counted_reserves();
        (self.reserves != counted).then(|| format!("{:?}, teams say {counted:?}", self.reserves))
    }

    /// Counted again.
    pub fn counted_reserves(&self) -> BTreeMap<AllocationNo, TeamId> {
        let of = |(name, team): (&TeamId, &Team)| Some((team.reserve.as_ref()?.no, name.clone()));
        self.teams.iter().filter_map(of).collect()
    }
}

impl Allocation {
    /// Its amount after an adjustment, and what is missing from it then. What is lowered is first what it never got.
    pub(crate) fn adjusted(&self, delta: CreditsDelta) -> Result<(Credits, Credits), Rejection> {
        let (now, short) = (self.amount(), self.short);
        Ok(match delta {
            CreditsDelta::Raise(by) => (now.checked_add(by).ok_or(Rejection::TooMuch)?, short),
            CreditsDelta::Lower(by) => {
                (now.saturating_sub(by.saturating_sub(short)), short.saturating_sub(by))
            }
        })
    }
}
