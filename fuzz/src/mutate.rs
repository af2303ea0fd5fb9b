//! A small deterministic mutator for texts: the same seed gives the same inputs, on every machine.

/// Numbers, without a pattern that anybody would see: `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// A number below `end`; 0 for an end of 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// What has broken parsers elsewhere.
const NASTY: [&str; 44] = [
    "0",
    "-1",
    "-0",
    "1e308",
    "1e-320",
    "1e999",
    "NaN",
    "+Inf",
    "-Inf",
    "0.1",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "0s",
    "1ns",
    "2562047h",
    "2562048h",
    "292y",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "''",
    "{{",
    "}}",
    "${",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "\u{0}",
    "\u{feff}",
    "\r\n",
    "ſ",
    "💥",
    "%00",
];

/// Makes new inputs from old ones.
#[derive(Debug)]
pub struct Mutator {
    numbers: Numbers,
    /// The words of the seeds.
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Mutator {
    /// For inputs of at most this length, with the words of these inputs.
    pub fn new<'a>(seed: u64, longest: usize, inputs: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut words: Vec<Vec<u8>> = inputs
            .into_iter()
            .flat_map(|it| {
                it.split(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')))
            })
            .filter(|it| (1..40).contains(&it.len()))
            .map(<[u8]>::to_vec)
            .collect();
        words.sort();
        words.dedup();
        Self {
            numbers: Numbers::new(seed),
            words,
            longest,
        }
    }

    /// The numbers that decide.
    pub const fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    /// A new input from one of them.
    pub fn mutate(&mut self, from: &[u8], other: &[u8]) -> Vec<u8> {
        let mut input = from.to_vec();
        // One change mostly; many now and then.
        let changes = 1 + self.numbers.below(4) * self.numbers.below(4);
        for _ in 0..changes {
            self.change(&mut input, other);
        }
        input.truncate(self.longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.numbers.below(input.len() + 1);
        match self.numbers.below(14) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (self.numbers.next() % 8);
                }
            }
            1 => {
                let byte = self.byte();
                if let Some(old) = input.get_mut(at) {
                    *old = byte;
                }
            }
            2 => {
                let byte = self.byte();
                input.insert(at, byte);
            }
            3 => {
                let (from, to) = self.range(input);
                input.drain(from..to);
            }
            4 => {
                let (from, to) = self.range(input);
                let part = input[from..to].to_vec();
                put(input, at, &part);
            }
            // Growing: what is small in a seed becomes long.
            5 => {
                let (from, to) = self.range(input);
                let part = input[from..to].to_vec();
                let most = self.longest.saturating_sub(input.len()) / part.len().max(1);
                let wanted = 1 << self.numbers.below(14);
                put(input, at, &part.repeat(wanted.min(most)));
            }
            6 | 7 => {
                let word = self.numbers.pick(&self.words).cloned().unwrap_or_default();
                self.place(input, at, &word);
            }
            8 => {
                let nasty = self.numbers.pick(&NASTY).copied().unwrap_or_default();
                self.place(input, at, nasty.as_bytes());
            }
            // A number becomes another one.
            9 | 10 => {
                let digits = |it: &u8| it.is_ascii_digit();
                if let Some(from) = input.iter().skip(at).position(digits).map(|it| it + at) {
                    let length = input[from..].iter().take_while(|it| digits(it)).count();
                    let nasty = self.numbers.below(26);
                    let small = self.numbers.below(200).to_string();
                    let new = if self.numbers.below(2) == 0 {
                        NASTY[nasty]
                    } else {
                        &small
                    };
                    input.splice(from..from + length, new.bytes());
                }
            }
            11 => {
                let (from, to) = self.range(other);
                self.place(input, at, &other[from..to]);
            }
            // The beginning of one and the end of the other.
            12 => {
                let from = self.numbers.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let (from, to) = self.range(input);
                input[from..to].reverse();
            }
        }
    }

    /// Mostly a character that means something to somebody.
    fn byte(&mut self) -> u8 {
        const MEANING: &[u8] = b"{}[]()<>\"'`\\/,:;.$@#!%&*+-=|~^?_ \t\n0123456789eE\x00\x7f\xff\xc3";
        let any = self.numbers.next().to_le_bytes()[0];
        if any < 64 {
            self.numbers.next().to_le_bytes()[0]
        } else {
            self.numbers.pick(MEANING).copied().unwrap_or(any)
        }
    }

    /// Mostly a short part of it.
    fn range(&mut self, of: &[u8]) -> (usize, usize) {
        let from = self.numbers.below(of.len());
        let left = of.len() - from;
        let most = if self.numbers.below(4) == 0 {
            left
        } else {
            left.min(16)
        };
        (from, from + self.numbers.below(most + 1))
    }

    /// Puts it in, or in the place of as much.
    fn place(&mut self, input: &mut Vec<u8>, at: usize, part: &[u8]) {
        if self.numbers.below(2) == 0 {
            let end = input.len().min(at + part.len());
            input.drain(at..end);
        }
        put(input, at, part);
    }
}

fn put(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    input.splice(at..at, part.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_none_is_too_long() {
        let seeds: [&[u8]; 3] = [b"", b"{\"a\": 1}", b"canary: { stepWeight: 10 }"];
        let made = |seed| {
            let mut mutator = Mutator::new(seed, 300, seeds);
            (0..2_000)
                .map(|at| mutator.mutate(seeds[at % 3], seeds[(at + 1) % 3]))
                .collect::<Vec<_>>()
        };
        let first = made(1);
        assert_eq!(first, made(1));
        assert_ne!(first, made(2));
        assert!(first.iter().all(|it| it.len() <= 300));
        assert!(first.iter().any(|it| it.len() > 200));
    }
}
