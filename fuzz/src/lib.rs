//! Fuzz targets: each takes any bytes and panics when something that must hold does not.
//!
//! A target is a plain function, so that anything can drive it: the program of this package, which mutates seeds and runs
//! on stable Rust with nothing installed; the test that runs every seed and every input that once found something; or a
//! fuzzer such as cargo-fuzz, whose entry point has the same shape.

pub mod check;
pub mod drive;
pub mod mutate;
pub mod store;
pub mod targets;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a run of a target looked like from outside. A new shape is a reason to keep an input and to mutate it further:
/// that is what stands in for the coverage that stable Rust does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(u64);

impl Shape {
    /// The same, and this was seen as well.
    #[must_use]
    pub fn and(self, seen: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, seen).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The same, and this text was seen: its words, not its numbers, and nothing of what it quotes.
    #[must_use]
    pub fn said(self, text: &str) -> Self {
        let mut quoted = false;
        let words: String = text
            .chars()
            .filter(|it| {
                quoted ^= matches!(it, '"' | '`');
                !quoted && it.is_ascii_alphabetic()
            })
            .take(120)
            .collect();
        self.and(words)
    }
}

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its folder of seeds.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&[u8]) -> Shape,
    /// The longest input that it is given.
    pub longest: usize,
    /// The most that it may allocate for each byte of the input, in bytes, beside [`Target::FIXED`].
    pub bytes_per_byte: u64,
}

impl Target {
    /// What any target may allocate for an empty input, in bytes, all in all.
    pub const FIXED: u64 = 64 << 20;

    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        targets::ALL.iter().find(|it| it.name == name)
    }

    /// Runs it once, and measures its work.
    ///
    /// # Errors
    /// What was found: the words of a panic, or work without a bound.
    pub fn try_run(&self, input: &[u8]) -> Result<Shape, String> {
        let mut ended = Ok(Shape::default());
        let work = allocation_counter::measure(|| {
            ended = catch_unwind(AssertUnwindSafe(|| (self.run)(input))).map_err(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                said.unwrap_or("a panic without words").to_owned()
            });
        });
        let length = u64::try_from(input.len()).unwrap_or(u64::MAX);
        let most = self
            .bytes_per_byte
            .saturating_mul(length)
            .saturating_add(Self::FIXED);
        // To tell of a panic takes memory of its own.
        if ended.is_ok() && work.bytes_total > most {
            let (bytes, count) = (work.bytes_total, work.count_total);
            return Err(format!(
                "{bytes} bytes in {count} allocations for {length} bytes of input (expected at most {most} bytes)"
            ));
        }
        ended
    }
}
