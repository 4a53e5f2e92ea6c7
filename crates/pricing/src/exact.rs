//! Exact sums of fractions, rounded up once. Knows no credits and no units.
//!
//! Why it cannot overflow by bad luck: denominators are what a card calls `per`, and a card is refused when the
//! `per`s that may meet in one quote have a common multiple above [`COMMON_MAX`]. So each fraction is split in its
//! whole part and a rest below one; whole parts add up as integers, rests over the common multiple, where each is
//! below 10^18 and 128 bits have room for 10^20 of them. Only a sum that is itself out of range is refused.

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

/// ⌈Σ numerator ÷ denominator⌉. `None` where the sum leaves 128 bits or [`common_multiple`] finds nothing.
pub(crate) fn sum_rounded_up(fractions: impl Iterator<Item = (u128, u64)> + Clone) -> Option<u128> {
    let common = u128::from(common_multiple(fractions.clone().map(|(_, denominator)| denominator))?);
    let (mut whole, mut rest) = (0_u128, 0_u128);
    for (numerator, denominator) in fractions {
        let denominator = u128::from(denominator);
        let widened = numerator.checked_rem(denominator)?.checked_mul(common.checked_div(denominator)?)?;
        whole = whole.checked_add(numerator.checked_div(denominator)?)?;
        rest = rest.checked_add(widened)?;
    }
    whole.checked_add(rest.div_ceil(common))
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

    #[test]
    fn rests_meet_before_they_are_rounded() {
        let sum = |fractions: &[(u128, u64)]| sum_rounded_up(fractions.iter().copied());
        assert_eq!(sum(&[]), Some(0));
        assert_eq!(sum(&[(1, 2), (1, 3), (1, 6)]), Some(1), "exactly one, not three");
        assert_eq!(sum(&[(1, 2), (1, 3), (1, 5)]), Some(2), "one and a thirtieth");
        assert_eq!(sum(&[(u128::MAX, 1)]), Some(u128::MAX));
        assert_eq!(sum(&[(u128::MAX, 1), (1, 1_000)]), None);
        assert_eq!(sum(&[(u128::MAX, 1), (1, 1)]), None);
    }
}
