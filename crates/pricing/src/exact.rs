//! Exact sums of fractions, rounded up once. Knows no credits and no units.
//!
//! Why it cannot overflow by bad luck: denominators are what a card calls `per`, and a card is refused when the
//! `per`s that may meet in one quote have a common multiple above [`COMMON_MAX`]. So each fraction is split in its
//! whole part and a rest below one; whole parts add up as integers, rests over the common multiple, where each is
//! below 10^18 and 128 bits have room for 10^20 of them. Prices of two lists may meet in one quote, and their common
//! multiples have none up to that bound: so each list is summed for itself, and the two rests, each below one, meet over
//! the product of both, 10^36 at most. Only a sum that is itself out of range is refused.

/// Largest common multiple of the `per`s of one feature and model: 10^18, so any two of them always fit.
pub const COMMON_MAX: u64 = 1_000_000_000_000_000_000;

/// The least number all of `denominators` divide; 1 for none. `None` past [`COMMON_MAX`] or where one is 0.
pub(crate) fn common_multiple(denominators: impl IntoIterator<Item = u64>) -> Option<u64> {
    denominators.into_iter().try_fold(1_u64, |common, next| {
        let multiple = common.checked_div(divisor(common, next))?.checked_mul(next)?;
        (1..=COMMON_MAX).contains(&multiple).then_some(multiple)
    })
}

/// Euclid's greatest common divisor.
fn divisor(mut a: u64, mut b: u64) -> u64 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

/// `whole + rest ÷ common`, `rest` below `common`.
struct Sum {
    whole: u128,
    rest: u128,
    common: u128,
}

/// `None` where the sum leaves 128 bits or [`common_multiple`] finds nothing.
fn sum(fractions: impl Iterator<Item = (u128, u64)> + Clone) -> Option<Sum> {
    let common = u128::from(common_multiple(fractions.clone().map(|(_, denominator)| denominator))?);
    let (mut whole, mut rest) = (0_u128, 0_u128);
    for (numerator, denominator) in fractions {
        let denominator = u128::from(denominator);
        let widened = numerator.checked_rem(denominator)?.checked_mul(common.checked_div(denominator)?)?;
        whole = whole.checked_add(numerator.checked_div(denominator)?)?;
        rest = rest.checked_add(widened)?;
    }
    whole = whole.checked_add(rest.checked_div(common)?)?;
    Some(Sum { whole, rest: rest.checked_rem(common)?, common })
}

/// ⌈Σ numerator ÷ denominator⌉ over the fractions of two lists. `None` where the sum leaves 128 bits or the denominators
/// of one list have no common multiple up to [`COMMON_MAX`].
pub(crate) fn sum_rounded_up(
    of_one: impl Iterator<Item = (u128, u64)> + Clone,
    of_other: impl Iterator<Item = (u128, u64)> + Clone,
) -> Option<u128> {
    let (one, other) = (sum(of_one)?, sum(of_other)?);
    let rest = one.rest.checked_mul(other.common)?.checked_add(other.rest.checked_mul(one.common)?)?;
    let rounded = rest.div_ceil(one.common.checked_mul(other.common)?);
    one.whole.checked_add(other.whole)?.checked_add(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_multiples_at_their_bound() {
        assert_eq!(common_multiple([]), Some(1));
        assert_eq!(common_multiple([4, 6, 1]), Some(12));
        assert_eq!(common_multiple([COMMON_MAX]), Some(COMMON_MAX));
        assert_eq!(common_multiple([COMMON_MAX, 1 << 18]), Some(COMMON_MAX));
        assert_eq!(common_multiple([COMMON_MAX, 1 << 19]), None);
        assert_eq!(common_multiple([COMMON_MAX + 1]), None);
        assert_eq!(common_multiple([7, 0]), None);
        assert_eq!(common_multiple([0]), None);
    }

    fn sum_of(one: &[(u128, u64)], other: &[(u128, u64)]) -> Option<u128> {
        sum_rounded_up(one.iter().copied(), other.iter().copied())
    }

    #[test]
    fn rests_meet_before_they_are_rounded() {
        let sum = |fractions: &[(u128, u64)]| {
            let whole = sum_of(fractions, &[]);
            for at in 0..=fractions.len() {
                let (one, other) = fractions.split_at(at);
                assert_eq!(sum_of(one, other), whole, "however they are spread over two lists");
            }
            whole
        };
        assert_eq!(sum(&[]), Some(0));
        assert_eq!(sum(&[(1, 2), (1, 3), (1, 6)]), Some(1), "exactly one, not three");
        assert_eq!(sum(&[(1, 2), (1, 3), (1, 5)]), Some(2), "one and a thirtieth");
        assert_eq!(sum(&[(u128::MAX, 1)]), Some(u128::MAX));
        assert_eq!(sum(&[(u128::MAX, 1), (1, 1_000)]), None);
        assert_eq!(sum(&[(u128::MAX, 1), (1, 1)]), None);
    }

    #[test]
    fn two_lists_without_a_common_multiple_are_summed_exactly() {
        // Both at the bound, and prime to each other: 10^18 = 2^18 · 5^18.
        let (ten, odd) = (COMMON_MAX, COMMON_MAX - 1);
        assert_eq!(common_multiple([ten, odd]), None);
        let (almost_one, rest) = (u128::from(ten) - 1, 1);
        assert_eq!(sum_of(&[(almost_one, ten)], &[(rest, odd)]), Some(2), "1 and 10^-36");
        assert_eq!(sum_of(&[(almost_one, ten)], &[(0, odd)]), Some(1));
        assert_eq!(sum_of(&[(almost_one, ten), (1, ten)], &[(0, odd)]), Some(1));
        let fractions = [(u128::from(odd) - 1, odd); 144];
        assert_eq!(sum_of(&fractions, &[(144, odd)]), Some(144), "as many as a quote can have");
    }
}
