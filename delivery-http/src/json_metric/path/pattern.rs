//! Patterns of `match` and `search`: compiled once, and each use of them has a price that bounds its time.

use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::syntax;

/// The most memory that a compiled pattern may take, in bytes.
const LARGEST: usize = 64 * 1024;

/// A pattern by [RFC 9485](https://www.rfc-editor.org/rfc/rfc9485), and whatever else the syntax of Rust's `regex` allows.
pub(super) struct Pattern {
    machine: PikeVM,
    states: u64,
}

impl Pattern {
    /// Compiles a pattern, of the whole text or of any part of it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn new(written: &str, whole: bool) -> Result<Self, String> {
        // By itself first: `a)|(b` is no pattern, and would become one in parentheses.
        let mut nfa = compiled(written)?;
        if whole {
            nfa = compiled(&format!(r"\A(?:{written})\z"))?;
        }
        let states = u64::try_from(nfa.states().len()).unwrap_or(u64::MAX);
        let machine = PikeVM::new_from_nfa(nfa).map_err(|it| it.to_string())?;
        Ok(Self { machine, states })
    }

    /// What it costs to look at a text, in steps: each state of the machine may be looked at for each byte. Such a look is
    /// about a quarter of a step.
    pub(super) fn price(&self, text: &str) -> u64 {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        bytes.saturating_add(4).saturating_mul(self.states) / 4
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.machine.is_match(&mut self.machine.create_cache(), text)
    }
}

fn compiled(pattern: &str) -> Result<NFA, String> {
    let config = NFA::config()
        .nfa_size_limit(Some(LARGEST))
        .which_captures(WhichCaptures::None);
    // With `crlf`, a dot is neither a line feed nor a carriage return, as in RFC 9485.
    let syntax = syntax::Config::new().crlf(true).nest_limit(50);
    let nfa = NFA::compiler().configure(config).syntax(syntax).build(pattern);
    nfa.map_err(|it| {
        let causes = std::iter::successors(std::error::Error::source(&it), |it| it.source());
        let innermost = causes.last().map_or_else(|| it.to_string(), ToString::to_string);
        // A syntax error is shown in several lines, the last of which says what is wrong.
        String::from(
            innermost
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: "),
        )
    })
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pattern")
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_that_of_the_whole_text_or_of_a_part_of_it() {
        for (pattern, text, whole, part) in [
            ("b", "abc", false, true),
            ("a.c", "abc", true, true),
            ("a.c", "a\nc", false, false),
            ("a.c", "a\rc", false, false),
            ("a|b", "ab", false, true),
            ("a$", "a\n", false, false),
            (r"\p{L}+", "äöü", true, true),
            (r"[0-9]{1,3}", "1234", false, true),
            ("", "", true, true),
        ] {
            let is_in = |whole| Pattern::new(pattern, whole).unwrap().is_in(text);
            assert_eq!(
                (is_in(true), is_in(false)),
                (whole, part),
                "{pattern:?} in {text:?}"
            );
        }
    }

    #[test]
    fn a_pattern_that_is_none_or_is_too_large_is_refused() {
        for (pattern, says) in [
            ("(", "unclosed group"),
            ("a)|(b", "unopened group"),
            (
                "[b-a]",
                "invalid character class range, the start must be <= the end",
            ),
            ("(a{1000}){1000}", "exceeded limit of 65536"),
            ("((((a{100}){100}){100}){100})", "exceeded limit of 65536"),
            (&format!("{}{}", "(".repeat(200), ")".repeat(200)), "nest"),
        ] {
            for whole in [true, false] {
                let error = Pattern::new(pattern, whole).unwrap_err();
                assert!(
                    error.contains(says) && !error.contains('\n'),
                    "{pattern}: {error}"
                );
            }
        }
    }

    #[test]
    fn what_takes_longer_has_a_higher_price() {
        let price = |pattern, text: &str| Pattern::new(pattern, true).unwrap().price(text);
        assert!(price("a", "a") < 20);
        assert!(
            price("(a*)*b", &"a".repeat(1_000)) < 20_000,
            "nested stars cost as much as others"
        );
        assert!(price("a{500}", &"a".repeat(1_000)) > 100_000);
    }
}
