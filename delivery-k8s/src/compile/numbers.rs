//! Numbers of a manifest. Flagger's definition lets any number through, and Flagger then reads whole ones.

use delivery_core::plan::Flaw;

use super::Findings;

impl Findings {
    /// A whole number; none where nothing usable is written.
    pub(super) fn whole(&mut self, path: &str, written: Option<f64>) -> Option<i32> {
        let written = written?;
        let whole = format!("{written}").parse::<i32>().ok();
        if whole.is_none() {
            let remedy = "a whole number: Flagger cannot read any other, and then sees no Canary at all";
            self.error(path, Flaw::OutOfRange, &format!("{written}"), remedy);
        }
        whole
    }

    /// A limit of its own, at least 1; none: no limit. The core refuses 0.
    pub(super) fn count(&mut self, path: &str, written: Option<f64>) -> Option<u32> {
        let whole = self.whole(path, written)?;
        let count = u32::try_from(whole).ok();
        if count.is_none() {
            self.error(
                path,
                Flaw::OutOfRange,
                &format!("{whole}"),
                "at least 1; leave it out for no limit",
            );
        }
        count
    }

    /// How many failed checks roll back: 1 for whatever is less, as in Flagger.
    pub(super) fn threshold(&mut self, written: Option<f64>) -> u32 {
        const PATH: &str = "spec.analysis.threshold";
        match self
            .whole(PATH, written)
            .map(|whole| (whole, u32::try_from(whole)))
        {
            Some((_, Ok(threshold))) if threshold > 0 => threshold,
            Some((whole, _)) => {
                self.warn(
                    PATH,
                    &format!("{whole} is taken as 1: the first failed check rolls back"),
                );
                1
            }
            None => 1,
        }
    }

    /// A share of pods, 1 to 100.
    pub(super) fn percent(&mut self, path: &str, written: Option<f64>) -> u8 {
        let Some(whole) = self.whole(path, written) else {
            return 100;
        };
        u8::try_from(whole)
            .ok()
            .filter(|share| (1..=100).contains(share))
            .unwrap_or_else(|| {
                self.error(path, Flaw::OutOfRange, &format!("{whole} %"), "from 1 to 100");
                100
            })
    }
}
