//! What a rate card accepts, and what it says when it does not: every limit at its bound and one past it.

use pricing::{
    BadCard, BadMinimum, BadPrice, ENTRIES_MAX, Minimum, OWN_ENTRIES_MAX, PER_MAX, Price, PriceList,
    RateCard, TIERS_MAX, Tier, UNITS_MAX,
};
use types::{Credits, Feature, Model, OneOrAny, Unit};

fn price(feature: &str, model: Option<&str>, unit: &str, per: u64) -> Price {
    Price {
        feature: feature.parse().unwrap(),
        model: model.map(|model| model.parse().unwrap()),
        unit: Unit::parse(unit).unwrap(),
        per,
        credits: Credits::whole(1).unwrap(),
        tiers: Vec::new(),
    }
}

fn minimum(feature: &str, model: Option<&str>) -> Minimum {
    let (feature, model) = (feature.parse().unwrap(), model.map(|model| model.parse().unwrap()));
    Minimum { feature, model, credits: Credits::whole(1).unwrap() }
}

fn tiered(above: &[u64]) -> Price {
    let tier = |above: &u64| Tier { above: *above, credits: Credits::ZERO };
    Price { tiers: above.iter().map(tier).collect(), ..price("chat", Some("m-1"), "input_token", 1_000) }
}

fn units(count: usize) -> Vec<Price> {
    (0..count).map(|n| price("chat", Some("m-1"), &format!("unit_{n}"), 1_000)).collect()
}

fn why(prices: Vec<Price>) -> (usize, BadPrice) {
    match RateCard::new(1, prices) {
        Err(BadCard::Price { entry, why, .. }) => (entry, why),
        other => panic!("not refused by an entry: {other:?}"),
    }
}

#[test]
fn an_empty_card_is_a_card() {
    assert_eq!(RateCard::new(0, vec![]), Ok(RateCard::empty()));
    assert_eq!(RateCard::own(0, vec![]), Ok(RateCard::empty()));
    assert_eq!(RateCard::empty().list(), &PriceList::default());
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
        .map(|p| format!("{} {} {} {}/{}", p.feature, p.model.clone().unwrap(), p.unit, p.credits, p.per))
        .collect();
    assert_eq!(text, ["chat m-1 input_token 1/1000", "chat m-1 output_token 4/1000"]);
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
fn entries_of_one_card_are_bounded() {
    let prices = |count: usize| -> Vec<Price> {
        (0..count).map(|n| price(&format!("f{n}"), None, "call", 1)).collect()
    };
    assert!(RateCard::new(1, prices(ENTRIES_MAX)).is_ok());
    let refused = RateCard::new(1, prices(ENTRIES_MAX + 1)).unwrap_err();
    assert_eq!(refused, BadCard::TooManyEntries { found: 4_097, max: 4_096 });
    assert!(
        refused.to_string().contains("at most 4096 prices, tiers and minimum charges, this one has 4097")
    );
    // Tiers and minimums count like prices.
    let list = |minimums| {
        let mut prices = prices(ENTRIES_MAX - 4);
        prices[7].tiers = tiered(&[1, 2]).tiers;
        PriceList { prices, minimums }
    };
    let minimums = |count: usize| (0..count).map(|n| minimum(&format!("f{n}"), None)).collect();
    assert!(RateCard::new(1, list(minimums(2))).is_ok());
    assert_eq!(
        RateCard::new(1, list(minimums(3))),
        Err(BadCard::TooManyEntries { found: 4_097, max: ENTRIES_MAX })
    );
    assert!(RateCard::own(1, prices(OWN_ENTRIES_MAX)).is_ok());
    assert_eq!(
        RateCard::own(1, prices(OWN_ENTRIES_MAX + 1)),
        Err(BadCard::TooManyEntries { found: 257, max: OWN_ENTRIES_MAX })
    );
}

#[test]
fn tiers_are_bounded_and_ascend() {
    let most: Vec<u64> = (1..=TIERS_MAX as u64).collect();
    for above in [&[1][..], &[u64::MAX], &[1, 2, u64::MAX], &most] {
        assert!(RateCard::new(1, vec![tiered(above)]).is_ok(), "{above:?}");
    }
    for (above, refused) in [
        (&[0][..], BadPrice::TiersNotAscending(0)),
        (&[5, 5], BadPrice::TiersNotAscending(1)),
        (&[5, 9, 8], BadPrice::TiersNotAscending(2)),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9], BadPrice::TooManyTiers(TIERS_MAX + 1)),
    ] {
        assert_eq!(why(vec![price("a", None, "call", 1), tiered(above)]), (1, refused));
    }
}

#[test]
fn a_minimum_is_for_something_that_has_a_price_and_stands_once() {
    let prices = || vec![price("chat", Some("m-1"), "call", 1), price("*", Some("*"), "call", 1)];
    let card = |minimums| RateCard::new(1, PriceList { prices: prices(), minimums });
    let both = vec![minimum("chat", Some("m-1")), minimum("*", Some("*"))];
    let whole = card(both.clone()).unwrap();
    assert_eq!(whole.minimums().len(), 2);
    assert_eq!(RateCard::new(1, whole.list().clone()), Ok(whole.clone()), "a listing is a card again");
    let refused = |minimums| match card(minimums) {
        Err(BadCard::Minimum { entry, why, .. }) => (entry, why),
        other => panic!("not refused by a minimum: {other:?}"),
    };
    let twice = [both, vec![minimum("chat", Some("m-1"))]].concat();
    assert_eq!(refused(twice), (2, BadMinimum::Duplicate { earlier: 0 }));
    for nothing in [minimum("chat", None), minimum("chat", Some("*")), minimum("image", Some("m-1"))] {
        assert_eq!(refused(vec![minimum("chat", Some("m-1")), nothing]), (1, BadMinimum::OfNothing));
    }
    let text = card(vec![minimum("chat", None)]).unwrap_err().to_string();
    assert!(text.starts_with("minimums[0] (chat, no model): there is no price"), "{text}");
}

#[test]
fn a_star_stands_on_cards_and_not_among_own_prices() {
    for (feature, model) in [("*", Some("m-1")), ("*", None), ("chat", Some("*")), ("*", Some("*"))] {
        let starred = || vec![price("chat", None, "call", 1), price(feature, model, "call", 1)];
        assert!(RateCard::new(1, starred()).is_ok());
        let own = RateCard::own(1, starred()).unwrap_err();
        assert!(matches!(own, BadCard::Price { entry: 1, why: BadPrice::NotExact, .. }), "{own}");
        let minimums = vec![minimum("chat", None), minimum(feature, model)];
        let own = RateCard::own(1, PriceList { prices: Vec::new(), minimums }).unwrap_err();
        assert!(matches!(own, BadCard::Minimum { entry: 1, why: BadMinimum::NotExact, .. }), "{own}");
    }
    let alone = PriceList { prices: Vec::new(), minimums: vec![minimum("chat", Some("m-1"))] };
    assert!(RateCard::own(1, alone).is_ok(), "for what the card alone has prices of");
    assert_eq!("*".parse::<OneOrAny<Feature>>(), Ok(OneOrAny::Any));
    assert!(Model::parse("*").is_err(), "so that no model is called like all of them");
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
