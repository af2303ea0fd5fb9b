//! Requests and errors by chance, the same on every machine: a generator with a fixed seed, and exact draws.

use delivery_core::analysis::Tally;

/// xoshiro256++ (Blackman, Vigna 2019), seeded by splitmix64.
pub(crate) struct Chance([u64; 4]);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut it = state;
            it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            it ^ (it >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Between 0, exclusive, and 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits")]
    pub(crate) fn part(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `n` happen, each with probability `p`.
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        // By inversion, in pieces that are small enough for it.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let piece = (200.0 / p.max(1e-18)) as u64;
        let (mut left, mut sum) = (n, 0);
        while left > piece {
            sum += self.invert(piece, p);
            left -= piece;
        }
        sum + self.invert(left, p)
    }

    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    fn invert(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        let odds = p / (1.0 - p);
        let mut probability = (n as f64 * (-p).ln_1p()).exp();
        let (mut part, mut k) = (self.part(), 0);
        while part > probability && k < n {
            part -= probability;
            k += 1;
            probability *= odds * ((n - k + 1) as f64 / k as f64);
        }
        k
    }

    /// 1, 2, …: geometric with this mean, at least 1.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    fn burst(&mut self, mean: f64) -> u64 {
        if mean <= 1.0 {
            return 1;
        }
        1 + (self.part().ln() / (-1.0 / mean).ln_1p()) as u64
    }

    /// So many requests, of which this share fails; errors come in bursts of this size on average.
    pub(crate) fn requests(&mut self, total: u64, rate: f64, burst: f64) -> Tally {
        if rate >= 1.0 {
            return Tally { total, errors: total };
        }
        let bursts = self.binomial(total, rate / burst);
        let errors: u64 = if burst > 1.0 {
            (0..bursts).map(|_| self.burst(burst)).sum()
        } else {
            bursts
        };
        Tally {
            total,
            errors: errors.min(total),
        }
    }
}
