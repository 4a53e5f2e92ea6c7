//! Teams and their reserves. Not here: who is in one (`administration`, a member's `team`).

use crate::json::object::there;
use crate::json::{Amount, GivenAmount, GivenTeam, PendingFrom, TeamText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Makes a team, or moves it with all that is nested in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTeam {
    /// The team it is nested in; `null`: in none. Must be there. At most eight are nested in each other.
    #[serde(deserialize_with = "there")]
    #[schema(required)]
    pub parent: Option<GivenTeam>,
}

/// Sets a team's reserve for this cycle and every next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutReserve {
    pub amount: GivenAmount,
}

/// A team and its reserve. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Team {
    pub team: TeamText,
    pub parent: Option<TeamText>,
    /// Of this team itself; those of teams nested in it are not counted.
    pub members: u64,
    /// This cycle's amount, once what is pending has moved; `null`: it has none.
    pub reserve: Option<Amount>,
    /// The amount of every next cycle.
    pub standing: Amount,
    /// Out of the reserve, in this cycle.
    pub used: Amount,
    /// Out of the reserve on leases.
    pub leased: Amount,
    /// Of the reserve: set aside, or out and not promised away.
    pub remaining: Amount,
    /// Missing from it, because the pool had too little; whatever is free makes up for it.
    pub short: Amount,
    pub pending: Amount,
    pub pending_from: Vec<PendingFrom>,
}

/// A page of teams, by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Teams {
    pub items: Vec<Team>,
    /// Ask again with it for what follows; `null`: nothing does.
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn a_team_says_what_it_is_nested_in() {
        for body in [r#"{"parent":null}"#, r#"{"parent":"eng"}"#] {
            let put: PutTeam = read(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(write(&put)).unwrap(), body);
        }
        assert!(read::<PutTeam>(b"{}").is_err(), "a team is not moved to the top by forgetting its parent");
        assert!(read::<PutTeam>(br#"{"parent":null,"reserve":"1"}"#).is_err());
        assert!(read::<PutReserve>(br#"{"amount":null}"#).is_err());
    }
}
