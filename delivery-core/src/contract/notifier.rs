use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

use super::{Examined, POLLS, Violation, chain};
use crate::analysis::{Evidence, Verdict};
use crate::port::{Notifier, Sent};
use crate::rollout::{Notice, Phase, Reason, Severity};
use crate::time::Timestamp;
use crate::weight::Weight;

/// Checks a [`Notifier`]: it takes every notice, tells in the end that it has arrived, and takes it once more when it is
/// sent again.
///
/// It really sends some notices, whose actor is `contract check`.
///
/// # Errors
/// The [`Violation`] that was met first.
///
/// ```
/// use delivery_core::contract;
/// use delivery_core::port::Silent;
///
/// async fn my_notifier_keeps_its_promises() -> Result<(), contract::Violation> {
///     contract::notifier(&Silent, async || {}).await
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_notifier_keeps_its_promises()).poll(&mut context);
/// # assert_eq!(checked, core::task::Poll::Ready(Ok(())));
/// ```
pub async fn notifier(notifier: &dyn Notifier, wait: impl AsyncFn()) -> Result<(), Violation> {
    let it = Examined {
        port: "Notifier",
        wait,
    };
    for notice in &notices() {
        it.arrives(notifier, notice).await?;
        if let Err(error) = it.returns("send", notifier.send(notice)).await? {
            let seen = format!(
                "notice {} was taken, and when it was sent again: {}",
                notice.id,
                chain(&error)
            );
            return Err(it.broken("a notice may be sent again", seen));
        }
    }
    Ok(())
}

impl<W: AsyncFn()> Examined<W> {
    /// Sends a notice, and asks about it until it has arrived.
    async fn arrives(&self, notifier: &dyn Notifier, notice: &Notice) -> Result<(), Violation> {
        for _ in 0..POLLS {
            if self.succeeds("send", notifier.send(notice)).await? == Sent::Delivered {
                return Ok(());
            }
            (self.wait)().await;
        }
        let seen = format!("notice {} was still under way after {POLLS} pauses", notice.id);
        Err(self.broken("what is possible is done", seen))
    }
}

/// Notices of every kind that a notifier may stumble over.
pub(super) fn notices() -> Vec<Notice> {
    let evidence = |value| Evidence {
        metric: "request-duration".to_owned(),
        verdict: Verdict::Fail,
        value,
        against: "at most 500 \"ms\" <b>&amp;</b> \u{2264} \u{1f426}".to_owned(),
    };
    let order = "pause".to_owned();
    let commanded = Reason::Commanded {
        order,
        actor: "contract check".to_owned(),
        ignored: Some("line 1\nline 2".to_owned()),
    };
    let failed = Reason::RoundFailed {
        evidence: [
            evidence(Some(1.0 / 3.0)),
            evidence(Some(f64::INFINITY)),
            evidence(None),
        ]
        .into(),
        more: 9,
    };
    let revision = crate::revision::Revision::new("contract-check").ok();
    [
        (Phase::Progressing, Severity::Info, Reason::NewRevision),
        (Phase::Progressing, Severity::Warn, commanded),
        (Phase::RollingBack, Severity::Error, failed),
    ]
    .into_iter()
    .zip(1..)
    .map(|((phase, severity, reason), id)| Notice {
        id,
        at: Timestamp::from_millis(1_777_000_000_000),
        revision: revision.clone().filter(|_| severity != Severity::Warn),
        phase,
        weight: Weight::hundredths(25).unwrap_or(Weight::ZERO),
        severity,
        reason,
    })
    .collect()
}
