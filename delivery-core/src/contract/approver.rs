use alloc::format;

use super::{Examined, Violation};
use crate::port::{Answer, Approver, GateQuestion};

/// How often a question is repeated.
const REPEATS: u32 = 3;

/// Checks an [`Approver`]: it answers a question within a bound, and asking again is harmless, so that an approval is
/// not used up by a crash.
///
/// `question` is one that it answers rather than fails at; one that it approves is the stronger check.
///
/// # Errors
/// The [`Violation`] that was met first.
///
/// ```
/// use delivery_core::Revision;
/// use delivery_core::analysis::Checks;
/// use delivery_core::contract;
/// use delivery_core::plan::{Gate, GateKind};
/// use delivery_core::port::{GateQuestion, Open};
/// use delivery_core::rollout::Phase;
///
/// async fn my_approver_keeps_its_promises() -> Result<(), Box<dyn std::error::Error>> {
///     let gate = Gate::new(GateKind::ConfirmPromotion, "release manager");
///     let question = GateQuestion {
///         gate: &gate,
///         revision: &Revision::new("v2")?,
///         phase: Phase::Progressing,
///         began: None,
///         checks: Checks::default(),
///         key: "v2/7/confirm-promotion/release manager",
///     };
///     contract::approver(&Open, &question, async || {}).await?;
///     Ok(())
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_approver_keeps_its_promises()).poll(&mut context);
/// # assert!(matches!(checked, core::task::Poll::Ready(Ok(()))));
/// ```
pub async fn approver(
    approver: &dyn Approver,
    question: &GateQuestion<'_>,
    wait: impl AsyncFn(),
) -> Result<(), Violation> {
    let it = Examined {
        port: "Approver",
        wait,
    };
    let mut before = it.succeeds("ask", approver.ask(question)).await?;
    for _ in 0..REPEATS {
        let now = it.succeeds("ask", approver.ask(question)).await?;
        // Somebody may approve meanwhile; nobody takes an approval back by being asked.
        let kept = before != Answer::Approved || now == Answer::Approved;
        it.check(kept, "asking again with the same key is harmless", || {
            format!(
                "it approved, and asked again with the key {:?} it said {now:?}",
                question.key
            )
        })?;
        before = now;
    }
    Ok(())
}
