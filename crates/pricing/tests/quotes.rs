//! What calls cost: examples by hand, and every quote against a naive sum of fractions in long arithmetic.

use pricing::{NoQuote, Price, RateCard};
use proptest::prelude::*;
use types::{Credits, Feature, Model, PriceVersion, Unit};

fn feature(name: &str) -> Feature {
    Feature::parse(name).unwrap()
}

fn model(name: &str) -> Model {
    Model::parse(name).unwrap()
}

fn usage(units: &[(&str, u64)]) -> Vec<(Unit, u64)> {
    units.iter().map(|(unit, count)| (Unit::parse(unit).unwrap(), *count)).collect()
}

/// A card for `f` without model: unit `u0`, `u1`, … at (micro-credits, per).
fn card(prices: &[(u64, u64)]) -> RateCard {
    let price = |(n, (micros, per)): (usize, &(u64, u64))| Price {
        feature: feature("f").into(),
        model: None,
        unit: Unit::parse(&format!("u{n}")).unwrap(),
        per: *per,
        credits: Credits::from_micros(*micros).unwrap(),
        tiers: Vec::new(),
    };
    RateCard::new(1, prices.iter().enumerate().map(price).collect::<Vec<_>>()).unwrap()
}

fn counts(units: &[u64]) -> Vec<(Unit, u64)> {
    units.iter().enumerate().map(|(n, count)| (Unit::parse(&format!("u{n}")).unwrap(), *count)).collect()
}

fn charge(card: &RateCard, units: &[u64]) -> Result<u64, NoQuote> {
    card.quote(&feature("f"), None, &counts(units)).map(|quote| quote.charge.micros())
}

#[test]
fn dev_prices() {
    let card = RateCard::dev();
    for (input, output, credits) in [
        (1_200, 300, "2.4"),
        (1_000, 0, "1"),
        (0, 1_000, "4"),
        (1, 0, "0.001"),
        (1, 1, "0.005"),
        (0, 0, "0"),
        (999_999, 1, "1000.003"),
    ] {
        let used = usage(&[("input_token", input), ("output_token", output)]);
        let quote = card.quote(&feature("chat"), Some(&model("m-1")), &used).unwrap();
        assert_eq!(quote.charge.to_string(), credits, "{input} in, {output} out");
        assert_eq!(quote.version, PriceVersion { card: 1, own: None });
    }
}

#[test]
fn lines_are_exact_and_in_the_callers_order() {
    let used = usage(&[("output_token", 7), ("input_token", 3)]);
    let quote = RateCard::dev().quote(&feature("chat"), Some(&model("m-1")), &used).unwrap();
    let lines: Vec<_> =
        quote.lines.iter().map(|line| (line.unit.as_str(), line.units, line.exact_micros())).collect();
    assert_eq!(
        lines,
        [("output_token", 7, (7 * 4_000_000, 1_000)), ("input_token", 3, (3 * 1_000_000, 1_000))]
    );
}

#[test]
fn rounded_up_once_and_not_by_unit() {
    let thirds = card(&[(1, 3), (1, 3), (1, 3)]);
    assert_eq!(charge(&thirds, &[1]), Ok(1));
    assert_eq!(charge(&thirds, &[1, 1, 1]), Ok(1), "three thirds are one, not three");
    assert_eq!(charge(&thirds, &[2, 1, 1]), Ok(2));
    let unlike = card(&[(1, 2), (1, 3), (1, 7)]);
    assert_eq!(charge(&unlike, &[1, 1, 1]), Ok(1), "41/42");
    assert_eq!(charge(&unlike, &[1, 1, 2]), Ok(2), "47/42");
}

#[test]
fn a_price_of_zero_is_a_price() {
    let card = card(&[(0, 1), (5, 1)]);
    assert_eq!(charge(&card, &[u64::MAX]), Ok(0));
    assert_eq!(charge(&card, &[u64::MAX, 2]), Ok(10));
}

#[test]
fn nothing_is_free_by_accident() {
    let card = RateCard::dev();
    let (chat, m1) = (feature("chat"), model("m-1"));
    let refused = |feature: &Feature, model: Option<&Model>, used: &[(&str, u64)]| match card.quote(
        feature,
        model,
        &usage(used),
    ) {
        Err(NoQuote::Unpriced { feature, model, unit }) => {
            format!("{feature} {} {unit}", model.map_or("-".to_owned(), |model| model.to_string()))
        }
        other => panic!("not refused as unpriced: {other:?}"),
    };
    assert_eq!(refused(&chat, Some(&m1), &[("input_token", 5), ("image", 1)]), "chat m-1 image");
    assert_eq!(refused(&chat, Some(&m1), &[("image", 0)]), "chat m-1 image", "also for zero units");
    assert_eq!(refused(&chat, Some(&model("m-2")), &[("input_token", 5)]), "chat m-2 input_token");
    assert_eq!(refused(&chat, None, &[("input_token", 5)]), "chat - input_token");
    assert_eq!(refused(&feature("image"), Some(&m1), &[("input_token", 5)]), "image m-1 input_token");
    assert_eq!(card.quote(&chat, Some(&m1), &[]), Err(NoQuote::NoUsage));
    assert_eq!(
        card.quote(&chat, None, &usage(&[("call", 1)])).unwrap_err().to_string(),
        "no price for chat, no model, call; add one to the rate card (0 credits is a price), or give an amount"
    );
    assert!(RateCard::empty().quote(&chat, Some(&m1), &usage(&[("input_token", 1)])).is_err());
}

#[test]
fn a_model_is_never_priced_as_none() {
    let card = card(&[(1, 1)]);
    assert!(card.quote(&feature("f"), None, &counts(&[1])).is_ok());
    assert!(card.quote(&feature("f"), Some(&model("m-1")), &counts(&[1])).is_err());
}

#[test]
fn the_largest_charge_and_one_past_it() {
    let max = Credits::MAX.micros();
    let by_one = card(&[(1, 1), (1, 1_000)]);
    assert_eq!(charge(&by_one, &[max]), Ok(max));
    assert_eq!(charge(&by_one, &[max - 1, 1_000]), Ok(max));
    assert_eq!(charge(&by_one, &[max - 1, 1]), Ok(max), "rounded up onto the bound");
    assert_eq!(charge(&by_one, &[max + 1]), Err(NoQuote::TooLarge));
    assert_eq!(charge(&by_one, &[max, 1]), Err(NoQuote::TooLarge), "rounded up past it");
    // Sixteen of the largest products there are leave even 128 bits.
    let dearest = card(&[(max, 1); 16]);
    assert_eq!(charge(&dearest, &[u64::MAX]), Err(NoQuote::TooLarge));
    assert_eq!(charge(&dearest, &[u64::MAX; 16]), Err(NoQuote::TooLarge));
    // What is large and divided is exact.
    assert_eq!(charge(&card(&[(max, 1_000_000_000)]), &[1_000_000_000]), Ok(max));
    assert_eq!(charge(&card(&[(999_999_999, 1_000_000_000)]), &[u64::MAX / 20]), Ok(922_337_202_763_140_377));
}

/// Whole numbers of any length, least significant 32 bits first: enough of them to compare two sums.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Long(Vec<u32>);

impl Long {
    fn times(&self, factor: u64) -> Self {
        let low = self.times_small(factor as u32);
        let mut high = self.times_small((factor >> 32) as u32);
        high.0.insert(0, 0);
        low.plus(&high)
    }

    fn times_small(&self, factor: u32) -> Self {
        let mut carry = 0_u64;
        let mut limbs: Vec<u32> = Vec::new();
        for limb in &self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        Self(limbs)
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0_u64;
        let mut limbs = Vec::new();
        for at in 0..self.0.len().max(other.0.len()) {
            let limb = |of: &Self| u64::from(of.0.get(at).copied().unwrap_or(0));
            carry += limb(self) + limb(other);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        Self(limbs)
    }

    fn is_at_least(&self, other: &Self) -> bool {
        let length = self.0.len().max(other.0.len());
        let limbs =
            |of: &Self| (0..length).rev().map(|at| of.0.get(at).copied().unwrap_or(0)).collect::<Vec<_>>();
        limbs(self) >= limbs(other)
    }
}

/// Whether `micros` ≥ Σ units × price ÷ per, everything multiplied by all the `per`s.
fn covers(micros: u64, prices: &[(u64, u64)], units: &[u64]) -> bool {
    let one = Long(vec![1]);
    let all = prices.iter().fold(one.clone(), |product, (_, per)| product.times(*per));
    let owed = prices.iter().zip(units).enumerate().fold(Long(vec![0]), |sum, (at, ((price, _), count))| {
        let others = prices.iter().enumerate().filter(|(other, _)| *other != at);
        let share = others.fold(one.clone(), |product, (_, (_, per))| product.times(*per));
        sum.plus(&share.times(*price).times(*count))
    });
    all.times(micros).is_at_least(&owed)
}

/// `per`s up to 10^9 with small prime factors; all of them divide 2^9 · 3^3 · 5^9 · 7 · 11, so any may meet.
fn per() -> impl Strategy<Value = u64> {
    (0_u32..=9, 0_u32..=3, 0_u32..=9, 0_u32..=1, 0_u32..=1).prop_map(|(a, b, c, d, e)| {
        let (round, odd) = (2_u64.pow(a) * 5_u64.pow(c), 3_u64.pow(b) * 7_u64.pow(d) * 11_u64.pow(e));
        if round * odd <= pricing::PER_MAX { round * odd } else { round }
    })
}

/// Numbers of every magnitude below 2^64.
fn any_size() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(number, bits)| number >> bits)
}

fn prices_and_units() -> impl Strategy<Value = (Vec<(u64, u64)>, Vec<u64>)> {
    let price = any_size().prop_map(|micros| micros % (Credits::MAX.micros() + 1));
    // One shift for all counts of a case, so that about half of the sums are in range.
    (prop::collection::vec(((price, per()), any_size()), 1..=16), 0_u32..64).prop_map(|(entries, shift)| {
        entries.into_iter().map(|(price, count)| (price, count >> shift)).unzip::<_, _, Vec<_>, Vec<_>>()
    })
}

/// As above, small enough for every sum to be in range.
fn modest() -> impl Strategy<Value = (Vec<(u64, u64)>, Vec<u64>, Vec<u64>)> {
    let entry = ((0..1_000_000_000_u64, per()), 0..10_000_000_u64, 0..10_000_000_u64);
    prop::collection::vec(entry, 1..=8).prop_map(|entries| {
        let prices = entries.iter().map(|(price, _, _)| *price).collect();
        let (some, more) = entries.iter().map(|(_, some, more)| (*some, *more)).unzip();
        (prices, some, more)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_charge_is_the_least_that_covers((prices, units) in prices_and_units()) {
        match charge(&card(&prices), &units) {
            Ok(micros) => {
                prop_assert!(covers(micros, &prices, &units), "{micros} is too little");
                prop_assert!(micros == 0 || !covers(micros - 1, &prices, &units), "{micros} is too much");
            }
            Err(refused) => {
                prop_assert_eq!(refused, NoQuote::TooLarge);
                prop_assert!(!covers(Credits::MAX.micros(), &prices, &units), "refused although in range");
            }
        }
    }

    #[test]
    fn a_charge_is_the_naive_sum((prices, units, _) in modest()) {
        // Over one fixed denominator that every `per` divides.
        let common: u128 = 512 * 27 * 1_953_125 * 77;
        let owed: u128 = prices.iter().zip(&units)
            .map(|((price, per), count)| u128::from(*price) * u128::from(*count) * (common / u128::from(*per)))
            .sum();
        prop_assert_eq!(charge(&card(&prices), &units).map(u128::from), Ok(owed.div_ceil(common)));
    }

    #[test]
    fn more_units_never_cost_less((prices, units, more) in modest()) {
        let card = card(&prices);
        let sum: Vec<u64> = units.iter().zip(&more).map(|(some, more)| some + more).collect();
        prop_assert!(charge(&card, &units).unwrap() <= charge(&card, &sum).unwrap());
    }

    #[test]
    fn two_calls_cost_as_one_but_for_the_rounding((prices, units, more) in modest()) {
        let card = card(&prices);
        let sum: Vec<u64> = units.iter().zip(&more).map(|(some, more)| some + more).collect();
        let apart = charge(&card, &units).unwrap() + charge(&card, &more).unwrap();
        let together = charge(&card, &sum).unwrap();
        prop_assert!(together <= apart && apart <= together + 1, "{together} together, {apart} apart");
    }

    #[test]
    fn the_order_of_units_does_not_matter((prices, units) in prices_and_units()) {
        let card = card(&prices);
        let mut reversed = counts(&units);
        reversed.reverse();
        let backwards = card.quote(&feature("f"), None, &reversed).map(|quote| quote.charge.micros());
        prop_assert_eq!(charge(&card, &units), backwards);
    }
}
