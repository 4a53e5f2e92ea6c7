//! Tiers, minimum charges, prices for anything, a workspace's own prices: examples by hand, and every quote against one
//! that is worked out unit by unit, as the documentation says it, in fractions of any length.

use pricing::{Minimum, NoQuote, Price, PriceList, RateCard, Tier};
use proptest::prelude::*;
use types::{Credits, Feature, Model, PriceVersion, Unit};

fn credits(text: &str) -> Credits {
    text.parse().unwrap()
}

fn price(feature: &str, model: &str, unit: &str, per: u64, amount: &str) -> Price {
    let model = (!model.is_empty()).then(|| model.parse().unwrap());
    let (feature, unit) = (feature.parse().unwrap(), Unit::parse(unit).unwrap());
    Price { feature, model, unit, per, credits: credits(amount), tiers: Vec::new() }
}

fn tiered(price: Price, tiers: &[(u64, &str)]) -> Price {
    let tier = |(above, amount): &(u64, &str)| Tier { above: *above, credits: credits(amount) };
    Price { tiers: tiers.iter().map(tier).collect(), ..price }
}

fn minimum(feature: &str, model: &str, amount: &str) -> Minimum {
    let Price { feature, model, credits, .. } = price(feature, model, "u", 1, amount);
    Minimum { feature, model, credits }
}

fn card(prices: Vec<Price>, minimums: Vec<Minimum>) -> RateCard {
    RateCard::new(7, PriceList { prices, minimums }).unwrap()
}

fn own(prices: Vec<Price>, minimums: Vec<Minimum>) -> RateCard {
    RateCard::own(9, PriceList { prices, minimums }).unwrap()
}

fn usage(units: &[(&str, u64)]) -> Vec<(Unit, u64)> {
    units.iter().map(|(unit, count)| (Unit::parse(unit).unwrap(), *count)).collect()
}

/// The charge of a call, as text, or which unit has no price.
fn costs(card: &RateCard, own: Option<&RateCard>, call: (&str, &str), units: &[(&str, u64)]) -> String {
    let (feature, model) = (Feature::parse(call.0).unwrap(), Model::parse(call.1).ok());
    match card.quote_with(own, &feature, model.as_ref(), &usage(units)) {
        Ok(quote) => quote.charge.to_string(),
        Err(NoQuote::Unpriced { unit, .. }) => format!("no price for {unit}"),
        Err(other) => other.to_string(),
    }
}

#[test]
fn the_first_units_of_a_call_at_one_price_and_more_of_them_at_others() {
    let prices =
        vec![tiered(price("chat", "m-1", "input_token", 1_000, "1"), &[(2_000, "3"), (5_000, "0.5")])];
    let card = card(prices, vec![]);
    for (units, charge) in [
        (0, "0"),
        (1, "0.001"),
        (2_000, "2"),
        (2_001, "2.003"),
        (5_000, "11"),
        (5_001, "11.0005"),
        (7_000, "12"),
    ] {
        assert_eq!(costs(&card, None, ("chat", "m-1"), &[("input_token", units)]), charge, "{units}");
    }
    let (chat, m1) = (Feature::parse("chat").unwrap(), Model::parse("m-1").unwrap());
    let lines = |units| {
        let quote = card.quote(&chat, Some(&m1), &usage(&[("input_token", units)])).unwrap();
        quote.lines.iter().map(|line| (line.units, line.credits.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(lines(0), [(0, "1".into())]);
    assert_eq!(lines(2_000), [(2_000, "1".into())]);
    assert_eq!(lines(5_500), [(2_000, "1".into()), (3_000, "3".into()), (500, "0.5".into())]);
    // Of all units there can be.
    let most = costs(&card, None, ("chat", "m-1"), &[("input_token", u64::MAX)]);
    assert_eq!(most, NoQuote::TooLarge.to_string());
    let free_beyond = tiered(price("f", "", "u", 1, "0.000001"), &[(u64::MAX - 1, "0")]);
    let prices = vec![Price { credits: Credits::ZERO, ..free_beyond }];
    assert_eq!(costs(&self::card(prices, vec![]), None, ("f", ""), &[("u", u64::MAX)]), "0");
}

#[test]
fn two_calls_cost_as_two_whatever_one_of_both_would_cost() {
    let card = card(vec![tiered(price("f", "", "u", 1, "2"), &[(10, "1")])], vec![]);
    assert_eq!(costs(&card, None, ("f", ""), &[("u", 20)]), "30");
    assert_eq!(costs(&card, None, ("f", ""), &[("u", 10)]), "20", "tiers go by one call");
}

#[test]
fn a_call_costs_its_minimum_once_after_rounding_also_for_nothing() {
    let prices = vec![
        price("chat", "m-1", "input_token", 1_000, "1"),
        price("chat", "m-1", "output_token", 1_000, "4"),
        price("chat", "m-2", "input_token", 1_000, "1"),
        price("free", "", "call", 1, "0"),
    ];
    let card = card(prices, vec![minimum("chat", "m-1", "0.5"), minimum("free", "", "0.1")]);
    let m1 = |units: &[(&str, u64)]| costs(&card, None, ("chat", "m-1"), units);
    assert_eq!(m1(&[("input_token", 499)]), "0.5");
    assert_eq!(m1(&[("input_token", 500)]), "0.5");
    assert_eq!(m1(&[("input_token", 501)]), "0.501");
    assert_eq!(m1(&[("input_token", 1), ("output_token", 1)]), "0.5", "once for a call, not for a unit");
    assert_eq!(m1(&[("input_token", 0)]), "0.5", "who calls and uses nothing has called");
    assert_eq!(m1(&[("image", 0)]), "no price for image", "a minimum is no price");
    assert_eq!(costs(&card, None, ("chat", "m-2"), &[("input_token", 1)]), "0.001", "of its own model alone");
    assert_eq!(costs(&card, None, ("free", ""), &[("call", 3)]), "0.1");
    let (chat, m1) = (Feature::parse("chat").unwrap(), Model::parse("m-1").unwrap());
    let said = |units| card.quote(&chat, Some(&m1), &usage(&[("input_token", units)])).unwrap().minimum;
    assert_eq!((said(499), said(500)), (Some(credits("0.5")), None), "said where it is what is charged");
}

#[test]
fn what_has_no_price_of_its_own_has_the_one_the_card_states_or_none() {
    let prices = vec![
        price("chat", "m-1", "input_token", 1, "1"),
        price("chat", "*", "input_token", 1, "10"),
        price("*", "m-9", "input_token", 1, "100"),
        price("*", "*", "input_token", 1, "1000"),
        price("*", "*", "image", 1, "2000"),
        price("*", "", "call", 1, "5"),
        price("search", "", "call", 1, "3"),
    ];
    let card = card(prices, vec![minimum("*", "*", "1500")]);
    let one = |feature, model, unit| costs(&card, None, (feature, model), &[(unit, 1)]);
    assert_eq!(one("chat", "m-1", "input_token"), "1");
    assert_eq!(one("chat", "m-2", "input_token"), "10", "its feature for any model");
    assert_eq!(one("chat", "m-9", "input_token"), "10", "before any feature for its model");
    assert_eq!(one("video", "m-9", "input_token"), "100");
    assert_eq!(one("video", "m-2", "input_token"), "1500", "with the minimum of the prices that are taken");
    assert_eq!(one("video", "m-2", "image"), "2000");
    assert_eq!(one("search", "", "call"), "3");
    assert_eq!(one("chat", "", "call"), "5", "no model of any feature");
    // Feature and model choose the prices; a unit that is not among them is not looked for among others.
    assert_eq!(one("chat", "m-1", "image"), "no price for image");
    assert_eq!(one("chat", "m-2", "image"), "no price for image");
    assert_eq!(one("video", "m-9", "image"), "no price for image");
    assert_eq!(one("chat", "", "input_token"), "no price for input_token", "no model is not any model");
    assert_eq!(one("search", "m-1", "call"), "no price for call");
}

#[test]
fn a_workspaces_own_prices_stand_before_the_cards_entry_by_entry() {
    let prices = vec![
        tiered(price("chat", "m-1", "input_token", 1_000, "10"), &[(1_000, "5")]),
        price("chat", "m-1", "output_token", 1_000, "40"),
        price("chat", "*", "input_token", 1_000, "100"),
    ];
    let card = card(prices, vec![minimum("chat", "m-1", "2"), minimum("chat", "*", "3")]);
    let own_prices = vec![
        price("chat", "m-1", "input_token", 1_000, "1"),
        price("chat", "m-3", "image", 1, "7"),
        price("audio", "", "minute", 1, "0"),
    ];
    let ours = own(own_prices, vec![minimum("chat", "m-3", "0")]);
    let at = |own, model, units: &[(&str, u64)]| costs(&card, own, ("chat", model), units);
    let both = [("input_token", 2_000), ("output_token", 1_000)];
    assert_eq!(at(None, "m-1", &both), "55");
    assert_eq!(at(Some(&ours), "m-1", &both), "42", "ours for input, without tiers; the card's for output");
    assert_eq!(at(Some(&ours), "m-1", &[("input_token", 1)]), "2", "the card's minimum stays");
    assert_eq!(at(Some(&ours), "m-2", &[("input_token", 1_000)]), "100", "of which we have nothing");
    assert_eq!(at(Some(&ours), "m-3", &[("image", 1), ("input_token", 1_000)]), "107");
    assert_eq!(at(Some(&ours), "m-3", &[("input_token", 1)]), "0.1", "our own minimum, which is none");
    assert_eq!(at(None, "m-3", &[("image", 1)]), "no price for image");
    let audio = |own| costs(&card, own, ("audio", ""), &[("minute", 90)]);
    assert_eq!(
        [audio(Some(&ours)), audio(None)],
        ["0", "no price for minute"],
        "what the card does not have"
    );
    let quote = |own| {
        let (chat, m2) = (Feature::parse("chat").unwrap(), Model::parse("m-2").unwrap());
        card.quote_with(own, &chat, Some(&m2), &usage(&[("input_token", 1)])).unwrap().version
    };
    assert_eq!(quote(None), PriceVersion { card: 7, own: None });
    assert_eq!(quote(Some(&ours)), PriceVersion { card: 7, own: Some(9) }, "also where none of them was met");
}

#[test]
fn prices_of_two_lists_meet_whatever_they_are_per() {
    // Neither of these would stand with the other one on one card.
    let (p, q) = (999_999_937, 999_999_929);
    let prices = vec![price("f", "", "a", p, "0.000001"), price("f", "", "b", q, "0.000001")];
    let ours = vec![price("f", "", "c", 999_999_893, "0.000001"), price("f", "", "d", 2, "0.000001")];
    let (card, ours) = (card(prices, vec![]), own(ours, vec![]));
    let charge = |units: &[(&str, u64)]| costs(&card, Some(&ours), ("f", ""), units);
    assert_eq!(charge(&[("a", p), ("b", q), ("c", 999_999_893), ("d", 2)]), "0.000004");
    assert_eq!(charge(&[("a", p - 1), ("b", q), ("c", 999_999_893), ("d", 2)]), "0.000004");
    assert_eq!(charge(&[("a", p + 1), ("b", q), ("c", 999_999_893), ("d", 2)]), "0.000005");
    assert_eq!(charge(&[("a", p / 2), ("d", 1)]), "0.000001", "a little less than a whole");
    assert_eq!(charge(&[("a", p / 2 + 1), ("d", 1)]), "0.000002", "a little more than a whole");
}

/// A whole number of any length in decimal digits, least first: slow, and plain to see that it is right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Long(Vec<u8>);

impl Long {
    fn of(number: u64) -> Self {
        Self(number.to_string().bytes().rev().map(|digit| digit - b'0').collect())
    }

    fn plus(&self, other: &Self) -> Self {
        let (mut digits, mut carry) = (Vec::new(), 0);
        let digit = |of: &Self, at: usize| of.0.get(at).copied().unwrap_or(0);
        for at in 0..=self.0.len().max(other.0.len()) {
            let sum = digit(self, at) + digit(other, at) + carry;
            digits.push(sum % 10);
            carry = sum / 10;
        }
        Self(digits)
    }

    fn times(&self, factor: u64) -> Self {
        let mut product = Self(Vec::new());
        for (at, digit) in Self::of(factor).0.into_iter().enumerate() {
            let mut shifted = vec![0; at];
            let mut carry = 0;
            for of_self in &self.0 {
                let part = u16::from(*of_self) * u16::from(digit) + carry;
                shifted.push((part % 10) as u8);
                carry = part / 10;
            }
            shifted.push(carry as u8);
            product = product.plus(&Self(shifted));
        }
        product
    }

    fn is_at_least(&self, other: &Self) -> bool {
        let length = self.0.len().max(other.0.len());
        let digits = |of: &Self| -> Vec<u8> {
            (0..length).rev().map(|at| of.0.get(at).copied().unwrap_or(0)).collect()
        };
        digits(self) >= digits(other)
    }
}

/// A price as (per, micro-credits of the first units, tiers of (above, micro-credits)).
#[derive(Clone, Debug)]
struct Plain {
    per: u64,
    first: u64,
    tiers: Vec<(u64, u64)>,
}

/// numerator ÷ denominator in micro-credits, tier by tier from the last one down.
fn owed(plain: &Plain, units: u64) -> (Long, u64) {
    let (mut left, mut sum) = (units, Long(Vec::new()));
    for (above, micros) in plain.tiers.iter().rev() {
        if left > *above {
            sum = sum.plus(&Long::of(left - above).times(*micros));
            left = *above;
        }
    }
    (sum.plus(&Long::of(left).times(plain.first)), plain.per)
}

/// Whether `micros` ≥ Σ owed, everything multiplied by all denominators.
fn covers(micros: u64, parts: &[(Long, u64)]) -> bool {
    let all = parts.iter().fold(Long::of(1), |product, (_, per)| product.times(*per));
    let mut sum = Long(Vec::new());
    for (at, (numerator, _)) in parts.iter().enumerate() {
        let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
        sum = sum.plus(&others.fold(numerator.clone(), |share, (_, (_, per))| share.times(*per)));
    }
    all.times(micros).is_at_least(&sum)
}

fn as_price(unit: usize, plain: &Plain) -> Price {
    let amount = |micros| Credits::from_micros(micros).unwrap();
    Price {
        credits: amount(plain.first),
        tiers: plain.tiers.iter().map(|(above, m)| Tier { above: *above, credits: amount(*m) }).collect(),
        ..price("f", "m", &format!("u{unit}"), plain.per, "0")
    }
}

fn any_size(most: u64) -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(move |(number, bits)| (number >> bits) % most)
}

fn plain() -> impl Strategy<Value = Plain> {
    // Any two numbers up to 10^9 have a common multiple in range: two units of each list at most.
    let per = any_size(pricing::PER_MAX).prop_map(|per| per + 1);
    let tiers = prop::collection::btree_map(any_size(1 << 40), any_size(1 << 40), 0..=3);
    (per, any_size(1 << 40), tiers).prop_map(|(per, first, tiers)| {
        let tiers = tiers.into_iter().filter(|(above, _)| *above > 0).collect();
        Plain { per, first, tiers }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_charge_is_the_least_that_covers_its_usage_or_the_minimum(
        on_card in prop::collection::vec(plain(), 1..=2),
        ours in prop::collection::vec(plain(), 0..=2),
        counts in prop::collection::vec(any_size(1 << 41), 4),
        of_card in any_size(1 << 50),
        of_ours in prop::option::of(any_size(1 << 50)),
    ) {
        let limit = |micros| Minimum {
            credits: Credits::from_micros(micros).unwrap(),
            ..minimum("f", "m", "0")
        };
        let prices = on_card.iter().enumerate().map(|(unit, plain)| as_price(unit, plain)).collect();
        let card = card(prices, vec![limit(of_card)]);
        // Ours are for other units than the card's, and the last of them for the same as the card's first.
        let unit_of = |at: usize| if at == 1 { 0 } else { 10 };
        let own_prices = ours.iter().enumerate().map(|(at, plain)| as_price(unit_of(at), plain)).collect();
        let own = own(own_prices, of_ours.map(limit).into_iter().collect());
        let mut asked: Vec<(usize, &Plain, u64)> = Vec::new();
        for (unit, plain) in on_card.iter().enumerate() {
            let plain = if unit == 0 { ours.get(1).unwrap_or(plain) } else { plain };
            asked.push((unit, plain, counts[unit]));
        }
        if let Some(plain) = ours.first() {
            asked.push((10, plain, counts[3]));
        }
        let used: Vec<(Unit, u64)> =
            asked.iter().map(|(unit, _, count)| (format!("u{unit}").parse().unwrap(), *count)).collect();
        let parts: Vec<(Long, u64)> = asked.iter().map(|(_, plain, count)| owed(plain, *count)).collect();
        let least = of_ours.unwrap_or(of_card);
        let (f, m) = (Feature::parse("f").unwrap(), Model::parse("m").unwrap());
        match card.quote_with(Some(&own), &f, Some(&m), &used) {
            Ok(quote) => {
                let micros = quote.charge.micros();
                prop_assert!(covers(micros, &parts), "{micros} is too little");
                prop_assert!(micros >= least);
                let is_needed = micros == least || !covers(micros - 1, &parts);
                prop_assert!(is_needed, "{micros} is too much");
                let summed: u64 = quote.lines.iter().map(|line| line.units).sum();
                prop_assert_eq!(summed, used.iter().map(|(_, count)| count).sum::<u64>(), "each unit stands once");
            }
            Err(refused) => {
                prop_assert_eq!(refused, NoQuote::TooLarge);
                prop_assert!(!covers(Credits::MAX.micros(), &parts), "refused although in range");
            }
        }
    }
}
