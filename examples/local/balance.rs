//! Which side answers the next request.

use delivery_core::Weight;
use delivery_core::rollout::Side;

/// Deals requests out to both sides: of any number of requests in a row, the canary gets its share to within one.
///
/// Deterministic, as a random choice would give 10 % of 20 requests none every eighth time. The rest of a division is
/// carried on to the next request (error diffusion), as in Bresenham's line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Balance {
    canary: Weight,
    owed: u16,
}

impl Balance {
    /// What the canary gets.
    pub(crate) const fn canary(self) -> Weight {
        self.canary
    }

    /// From the next request on, the canary gets this.
    pub(crate) fn set(&mut self, canary: Weight) {
        self.canary = canary;
        if canary.is_zero() {
            self.owed = 0;
        }
    }

    /// Who answers the next request.
    pub(crate) fn next(&mut self) -> Side {
        self.owed += self.canary.as_hundredths();
        let whole = Weight::WHOLE.as_hundredths();
        if self.owed < whole {
            return Side::Primary;
        }
        self.owed -= whole;
        Side::Canary
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss, reason = "small counts")]
    use super::*;

    fn deal(balance: &mut Balance, requests: usize) -> Vec<Side> {
        (0..requests).map(|_| balance.next()).collect()
    }

    fn canaries(sides: &[Side]) -> usize {
        sides.iter().filter(|it| **it == Side::Canary).count()
    }

    #[test]
    fn any_run_of_requests_has_the_share_to_within_one() {
        for hundredths in [0, 1, 25, 333, 1_000, 3_000, 5_000, 6_667, 9_999, 10_000] {
            let mut balance = Balance::default();
            balance.set(Weight::hundredths(hundredths).unwrap());
            let dealt = deal(&mut balance, 20_000);
            for length in [1, 7, 100, 10_000] {
                for run in dealt.windows(length).step_by(997) {
                    let exact = length as f64 * f64::from(hundredths) / 10_000.0;
                    assert!(
                        (canaries(run) as f64 - exact).abs() <= 1.0,
                        "{hundredths} over {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn both_ends_are_exact() {
        let mut balance = Balance::default();
        assert_eq!(canaries(&deal(&mut balance, 1_000)), 0);
        balance.set(Weight::WHOLE);
        assert_eq!(canaries(&deal(&mut balance, 1_000)), 1_000);
        balance.set(Weight::ZERO);
        assert_eq!(canaries(&deal(&mut balance, 1_000)), 0);
    }

    #[test]
    fn a_change_counts_from_the_next_request() {
        let mut balance = Balance::default();
        balance.set(Weight::percent(90).unwrap());
        deal(&mut balance, 9);
        balance.set(Weight::ZERO);
        assert_eq!(balance.next(), Side::Primary);
        assert_eq!(balance.canary(), Weight::ZERO);
    }
}
