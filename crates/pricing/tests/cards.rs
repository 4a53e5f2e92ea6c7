//! What a rate card accepts, and what it says when it does not: every limit at its bound and one past it.

use pricing::{BadCard, BadPrice, PER_MAX, PRICES_MAX, Price, RateCard, UNITS_MAX};
use types::{Credits, Feature, Model, Unit};

fn price(feature: &str, model: Option<&str>, unit: &str, per: u64) -> Price {
    Price {
        feature: Feature::parse(feature).unwrap(),
        model: model.map(|model| Model::parse(model).unwrap()),
        unit: Unit::parse(unit).unwrap(),
        per,
        credits: Credits::whole(1).unwrap(),
    }
}

fn units(count: usize) -> Vec<Price> {
    (0..count).map(|n| price("chat", Some("m-1"), &format!("unit_{n}"), 1_000)).collect()
}

fn why(prices: Vec<Price>) -> (usize, BadPrice) {
    match RateCard::new(1, prices) {
        Err(BadCard::Entry { entry, why, .. }) => (entry, why),
        other => panic!("not refused by an entry: {other:?}"),
    }
}

#[test]
fn an_empty_card_is_a_card() {
    assert_eq!(RateCard::new(0, vec![]), Ok(RateCard::empty()));
    assert_eq!(RateCard::empty().prices(), []);
}

#[test]
fn a_listing_has_one_order_whatever_order_was_given() {
    let mut prices = vec![
        price("image", None, "image", 1),
        price("chat", Some("m-2"), "call", 1),
        price("chat", None, "call", 1),
        price("chat", Some("m-1"), "output_token", 1_000),
        price("chat", Some("m-1"), "input_token", 1_000),
    ];
    let card = RateCard::new(7, prices.clone()).unwrap();
    prices.reverse();
    prices.swap(0, 1);
    assert_eq!(RateCard::new(7, prices).unwrap(), card);
    assert_eq!(card.version(), 7);
    let listed: Vec<_> = card.prices().iter().map(|p| p.unit.as_str()).collect();
    assert_eq!(listed, ["call", "input_token", "output_token", "call", "image"]);
    assert_eq!(RateCard::new(7, card.prices().to_vec()).unwrap(), card, "a listing is a card again");
}

#[test]
fn the_dev_card_is_as_documented() {
    let card = RateCard::dev();
    let text: Vec<_> = card
        .prices()
        .iter()
        .map(|p| format!("{} {:?} {} {}/{}", p.feature, p.model, p.unit, p.credits, p.per))
        .collect();
    assert_eq!(text, ["chat Some(m-1) input_token 1/1000", "chat Some(m-1) output_token 4/1000"]);
}

#[test]
fn the_later_of_two_equal_prices_is_named() {
    let prices = vec![
        price("chat", Some("m-1"), "call", 1),
        price("chat", None, "call", 1),
        price("a", None, "call", 1),
        price("chat", Some("m-1"), "call", 2),
    ];
    let refused = RateCard::new(1, prices.clone()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "prices[3] (chat, m-1, call): prices[0] is a price for the same feature, model and unit; \
         keep one of the two"
    );
    assert_eq!(why(prices), (3, BadPrice::Duplicate { earlier: 0 }));
}

#[test]
fn per_is_one_to_a_thousand_million() {
    for per in [1, PER_MAX] {
        assert!(RateCard::new(1, vec![price("chat", None, "call", per)]).is_ok(), "{per}");
    }
    for per in [0, PER_MAX + 1, u64::MAX] {
        let refused = vec![price("a", None, "call", 1), price("chat", None, "call", per)];
        assert_eq!(why(refused), (1, BadPrice::PerOutOfRange(per)));
    }
    let refused = RateCard::new(1, vec![price("chat", None, "call", 0)]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "prices[0] (chat, no model, call): `per` is 1 to 1000000000, this is 0; \
         write 1 for a price by the single unit"
    );
}

#[test]
fn units_of_one_model_are_bounded() {
    assert!(RateCard::new(1, units(UNITS_MAX)).is_ok());
    let (_, refused) = why(units(UNITS_MAX + 1));
    assert_eq!(refused, BadPrice::TooManyUnits);
    let mut two_models = units(UNITS_MAX);
    two_models.push(price("chat", Some("m-2"), "unit_0", 1_000));
    assert!(RateCard::new(1, two_models).is_ok(), "the bound is by feature and model");
}

#[test]
fn prices_of_one_card_are_bounded() {
    let prices = |count: usize| (0..count).map(|n| price(&format!("f{n}"), None, "call", 1)).collect();
    assert!(RateCard::new(1, prices(PRICES_MAX)).is_ok());
    let refused = RateCard::new(1, prices(PRICES_MAX + 1)).unwrap_err();
    assert_eq!(refused, BadCard::TooManyPrices(4_097));
    assert!(refused.to_string().contains("at most 4096 prices"));
}

#[test]
fn pers_that_may_meet_must_have_a_common_multiple() {
    // Two primes just below 10^9 always fit; a third one does not, 2 does not either, 1 does.
    let (p, q) = (999_999_937, 999_999_929);
    let with = |third: u64| {
        vec![
            price("chat", None, "a", p),
            price("chat", None, "b", q),
            price("chat", None, "c", third),
            price("image", None, "c", 999_999_893),
        ]
    };
    assert!(RateCard::new(1, with(1)).is_ok());
    assert!(RateCard::new(1, with(q)).is_ok());
    assert_eq!(why(with(2)), (2, BadPrice::PerUnlikeOthers(2)));
    assert_eq!(why(with(999_999_893)), (2, BadPrice::PerUnlikeOthers(999_999_893)));
}
