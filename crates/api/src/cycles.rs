//! Cycles and rollovers as they are asked for and shown. Not here: when cycles begin (`calendar`), what then happens
//! (`ledger`).

use crate::edge::{good, maybe, positive};
use crate::error::Refused;
use crate::limits::ROLLOVER_CYCLES_MAX;
use crate::translate;
use quota::{Keep, Rolled, Rollover, Term};
use types::CycleDays;
use wire::json::{self, Text};

pub(crate) fn days(asked: json::PutCycle) -> Result<CycleDays, Refused> {
    let json::PutCycle { every, anchor } = asked;
    let every = translate::every(good("cycle.every", every)?);
    Ok(CycleDays { every, anchor: good("cycle.anchor", anchor)? })
}

pub(crate) fn term(asked: Option<json::PutRollover>) -> Result<Term, Refused> {
    let Some(json::PutRollover { keep, amount, percent, cycles }) = asked else { return Ok(Term::Lasting) };
    let invalid = |why: &str| Refused::invalid(format!("rollover: {why}"));
    let keep = match (good("rollover.keep", keep)?, amount, percent) {
        (json::Keep::None, None, None) => Keep::None,
        (json::Keep::All, None, None) => Keep::All,
        (json::Keep::UpTo, Some(amount), None) => Keep::UpTo(positive("rollover.amount", amount)?),
        (json::Keep::Percent, None, Some(percent)) => {
            let percent = good("rollover.percent", percent)?;
            let whole = u8::try_from(percent).ok().filter(|percent| (1..=100).contains(percent));
            Keep::Percent(whole.ok_or_else(|| invalid("percent is 1 to 100"))?)
        }
        (json::Keep::UpTo, ..) => return Err(invalid("up_to has an amount, and nothing beside it")),
        (json::Keep::Percent, ..) => return Err(invalid("percent has a percent, and nothing beside it")),
        (json::Keep::None | json::Keep::All, ..) => {
            return Err(invalid("an amount belongs to up_to, a percent to percent"));
        }
    };
    let cycles = maybe("rollover.cycles", cycles)?;
    let fits = |cycles: u64| u32::try_from(cycles).ok().filter(|n| (1..=ROLLOVER_CYCLES_MAX).contains(n));
    let cycles = match cycles {
        None => None,
        Some(cycles) => {
            Some(fits(cycles).ok_or_else(|| invalid(&format!("cycles is 1 to {ROLLOVER_CYCLES_MAX}")))?)
        }
    };
    Ok(Term::Cycle(Rollover { keep, cycles }))
}

pub(crate) fn rollover_json(term: Term, rolled: Option<Rolled>) -> Option<json::Rollover> {
    let Term::Cycle(Rollover { keep, cycles }) = term else { return None };
    let (keep, amount, percent) = match keep {
        Keep::None => (json::Keep::None, None, None),
        Keep::All => (json::Keep::All, None, None),
        Keep::UpTo(amount) => (json::Keep::UpTo, Some(amount), None),
        Keep::Percent(percent) => (json::Keep::Percent, None, Some(percent)),
    };
    let left = rolled.map(|rolled| Text(rolled.left));
    let kept = rolled.map(|rolled| Text(rolled.kept));
    Some(json::Rollover { keep: Text(keep), amount: amount.map(Text), percent, cycles, left, kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Credits;

    fn parsed(body: &str) -> Result<Term, String> {
        let asked = json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"));
        term(Some(asked)).map_err(|refused| refused.detail)
    }

    fn cycle(keep: Keep, cycles: Option<u32>) -> Result<Term, String> {
        Ok(Term::Cycle(Rollover { keep, cycles }))
    }

    #[test]
    fn rollovers_to_their_bounds() {
        let ten = Credits::whole(10).unwrap();
        assert_eq!(term(None).unwrap(), Term::Lasting);
        assert_eq!(parsed(r#"{"keep":"none"}"#), cycle(Keep::None, None));
        assert_eq!(parsed(r#"{"keep":"all","cycles":1}"#), cycle(Keep::All, Some(1)));
        assert_eq!(parsed(r#"{"keep":"all","cycles":1200}"#), cycle(Keep::All, Some(1_200)));
        assert_eq!(parsed(r#"{"keep":"up_to","amount":"10"}"#), cycle(Keep::UpTo(ten), None));
        assert_eq!(parsed(r#"{"keep":"percent","percent":1}"#), cycle(Keep::Percent(1), None));
        assert_eq!(parsed(r#"{"keep":"percent","percent":100}"#), cycle(Keep::Percent(100), None));
    }

    #[test]
    fn what_is_no_rollover_says_why() {
        for (body, why) in [
            (r#"{"keep":"some"}"#, "rollover.keep: it is one of: none all up_to percent"),
            (r#"{"keep":"up_to"}"#, "rollover: up_to has an amount"),
            (r#"{"keep":"up_to","amount":"0"}"#, "rollover.amount: it must be more than zero"),
            (r#"{"keep":"up_to","amount":"1","percent":3}"#, "rollover: up_to has an amount, and nothing"),
            (r#"{"keep":"percent"}"#, "rollover: percent has a percent"),
            (r#"{"keep":"percent","percent":0}"#, "rollover: percent is 1 to 100"),
            (r#"{"keep":"percent","percent":101}"#, "rollover: percent is 1 to 100"),
            (r#"{"keep":"all","amount":"1"}"#, "rollover: an amount belongs to up_to"),
            (r#"{"keep":"all","cycles":0}"#, "rollover: cycles is 1 to 1200"),
            (r#"{"keep":"all","cycles":1201}"#, "rollover: cycles is 1 to 1200"),
        ] {
            let refused = parsed(body).unwrap_err();
            assert!(refused.starts_with(why), "{body}: {refused}");
        }
    }

    #[test]
    fn what_is_shown_of_a_rollover() {
        let rule = Rollover { keep: Keep::UpTo(Credits::whole(30).unwrap()), cycles: Some(2) };
        let show =
            |rolled| String::from_utf8(json::write(&rollover_json(Term::Cycle(rule), rolled))).unwrap();
        assert_eq!(show(None), r#"{"keep":"up_to","amount":"30","cycles":2}"#);
        let (left, kept) = (Credits::whole(100).unwrap(), Credits::whole(30).unwrap());
        let rolled = Rolled { cycle: types::CycleNumber(3), last: None, left, kept };
        assert_eq!(
            show(Some(rolled)),
            r#"{"keep":"up_to","amount":"30","cycles":2,"left":"100","kept":"30"}"#
        );
        assert_eq!(rollover_json(Term::Lasting, None), None);
    }
}
