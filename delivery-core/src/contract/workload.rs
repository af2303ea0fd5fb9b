use alloc::format;

use super::{Examined, POLLS, STAYS, Violation};
use crate::plan::Scale;
use crate::port::{CanaryWish, Pods, Seen, Wish, Workload};
use crate::revision::Revision;
use crate::rollout::Side;

const COMES: &str = "what was applied is so after a while";
const SERVES: &str = "a side whose revision changes is replaced pod by pod: it goes on taking requests";
const SIZE: &str = "the primary is not resized";
const COUNTED: &str =
    "of the pods that a side has, some are of its revision, and some of these take requests";

/// Checks a [`Workload`] that can run two revisions, `old` and `new`: it brings a canary up beside the primary, replaces
/// either without a gap, leaves alone what it is not asked to change, and applying a wish again and again is harmless.
///
/// It really does all of that; afterwards the primary runs `new`, and there is no canary. The primary must have a size of at
/// least one pod, and all pods of both revisions become ready.
///
/// # Errors
/// The [`Violation`] that was met first; the pods are then however they were.
///
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use delivery_core::Revision;
/// use delivery_core::contract;
/// use delivery_core::port::{CanaryWish, Pods, PortError, Seen, Wish, Workload};
///
/// /// One pod on each side, ready at once.
/// #[derive(Default)]
/// struct Instant(Mutex<[Option<Revision>; 2]>);
///
/// #[async_trait]
/// impl Workload for Instant {
///     async fn apply(&self, want: &Wish) -> Result<(), PortError> {
///         let [primary, canary] = &mut *self.0.lock().unwrap();
///         *primary = want.primary.clone().or(primary.take());
///         match &want.canary {
///             CanaryWish::AsIs => {}
///             CanaryWish::Down => *canary = None,
///             CanaryWish::Up { revision, .. } => *canary = Some(revision.clone()),
///         }
///         Ok(())
///     }
///
///     async fn observe(&self) -> Result<Seen, PortError> {
///         let pods = |it: &Option<Revision>| {
///             let count = it.iter().len() as u32;
///             Pods { revision: it.clone(), wanted: count, total: count, updated: count, available: count, unready_since: None }
///         };
///         let [primary, canary] = &*self.0.lock().unwrap();
///         Ok(Seen { target: None, primary: Some(pods(primary)), canary: Some(pods(canary)) })
///     }
/// }
///
/// async fn my_workload_keeps_its_promises() -> Result<(), Box<dyn std::error::Error>> {
///     let (old, new) = (Revision::new("v1")?, Revision::new("v2")?);
///     contract::workload(&Instant::default(), &old, &new, async || {}).await?;
///     Ok(())
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_workload_keeps_its_promises()).poll(&mut context);
/// # assert!(matches!(checked, core::task::Poll::Ready(Ok(()))));
/// ```
pub async fn workload(
    workload: &dyn Workload,
    old: &Revision,
    new: &Revision,
    wait: impl AsyncFn(),
) -> Result<(), Violation> {
    let it = Pod {
        it: Examined {
            port: "Workload",
            wait,
        },
        workload,
    };
    let up = |revision: &Revision| CanaryWish::Up {
        revision: revision.clone(),
        scale: Scale::LikePrimary,
    };
    let wish = |primary: &Revision, canary| Wish {
        primary: Some(primary.clone()),
        canary,
    };
    let nothing = Watched::default();

    // A primary alone.
    let alone = it.becomes(&wish(old, CanaryWish::Down), nothing).await?;
    let size = alone.primary.map_or(0, |it| it.wanted);
    let primary = Watched {
        size: Some(size),
        primary: true,
        canary: false,
    };

    // A canary beside it, then another one, then the first again.
    it.becomes(&wish(old, up(new)), primary).await?;
    let both = Watched {
        canary: true,
        ..primary
    };
    it.stays(&wish(old, up(new)), both).await?;
    it.becomes(&wish(old, up(old)), both).await?;
    it.becomes(&wish(old, up(new)), both).await?;
    it.left_alone(&wish(old, CanaryWish::AsIs), &wish(old, up(new)), both)
        .await?;

    // The primary takes its revision, and the canary goes.
    it.becomes(&wish(new, up(new)), both).await?;
    it.becomes(&wish(new, CanaryWish::Down), primary).await?;
    it.stays(&wish(new, CanaryWish::Down), primary).await?;
    let hands_off = Wish {
        primary: None,
        canary: CanaryWish::Down,
    };
    it.left_alone(&hands_off, &wish(new, CanaryWish::Down), primary)
        .await
}

/// What must not happen meanwhile.
#[derive(Clone, Copy, Default)]
struct Watched {
    /// The primary's size.
    size: Option<u32>,
    /// Whether the primary must take requests.
    primary: bool,
    /// Whether the canary must.
    canary: bool,
}

struct Pod<'a, W> {
    it: Examined<W>,
    workload: &'a dyn Workload,
}

impl<W: AsyncFn()> Pod<'_, W> {
    /// As a driver does it: applied again and again until it is so.
    async fn becomes(&self, want: &Wish, watched: Watched) -> Result<Seen, Violation> {
        let mut seen = Seen::default();
        for _ in 0..POLLS {
            self.it.succeeds("apply", self.workload.apply(want)).await?;
            seen = self.observe(watched).await?;
            if is_so(want, &seen) {
                return Ok(seen);
            }
            self.it.pause().await;
        }
        Err(self.it.broken(
            COMES,
            format!("{want:?} was applied, and {POLLS} pauses later it was {seen:?}"),
        ))
    }

    /// Applied once more each time.
    async fn stays(&self, want: &Wish, watched: Watched) -> Result<(), Violation> {
        self.left_alone(want, want, watched).await
    }

    /// It is `so`, and applying `want` leaves it so.
    async fn left_alone(&self, want: &Wish, so: &Wish, watched: Watched) -> Result<(), Violation> {
        let sizes = |seen: &Seen| [&seen.primary, &seen.canary].map(|it| it.as_ref().map(|pods| pods.wanted));
        let before = self.observe(watched).await?;
        for _ in 0..STAYS {
            self.it.succeeds("apply", self.workload.apply(want)).await?;
            self.it.pause().await;
            let seen = self.observe(watched).await?;
            let left = is_so(so, &seen) && sizes(&seen) == sizes(&before);
            self.it.check(
                left,
                "only a difference is written, and what is not mentioned is left as it is",
                || format!("it was {before:?}, and after {want:?} was applied it was {seen:?}"),
            )?;
        }
        Ok(())
    }

    async fn observe(&self, watched: Watched) -> Result<Seen, Violation> {
        let seen = self.it.succeeds("observe", self.workload.observe()).await?;
        let sides = [
            (Side::Primary, &seen.primary, watched.primary),
            (Side::Canary, &seen.canary, watched.canary),
        ];
        for (side, pods, serves) in sides {
            // What nobody can tell is no violation.
            let Some(pods) = pods else { continue };
            let in_words = || format!("the {side} was {pods:?}");
            self.it.check(
                pods.available <= pods.updated && pods.updated <= pods.total,
                COUNTED,
                in_words,
            )?;
            self.it.check(!serves || takes_requests(pods), SERVES, in_words)?;
        }
        if let (Some(size), Some(pods)) = (watched.size, &seen.primary) {
            self.it.check(pods.wanted == size, SIZE, || {
                format!("the primary had {size} pods before, and then was {pods:?}")
            })?;
        }
        Ok(seen)
    }
}

/// Pods of a former revision are taken to take requests as long as they are there: nobody counts those that do.
const fn takes_requests(pods: &Pods) -> bool {
    pods.available > 0 || pods.total > pods.updated
}

fn is_so(want: &Wish, seen: &Seen) -> bool {
    let ready = |pods: &Pods, revision: &Revision| {
        pods.revision.as_ref() == Some(revision)
            && pods.wanted > 0
            && [pods.total, pods.updated, pods.available] == [pods.wanted; 3]
    };
    let (Some(primary), Some(canary)) = (&seen.primary, &seen.canary) else {
        return false;
    };
    want.primary.as_ref().is_none_or(|it| ready(primary, it))
        && match &want.canary {
            CanaryWish::AsIs => true,
            CanaryWish::Down => canary.wanted == 0 && canary.total == 0,
            CanaryWish::Up { revision, .. } => ready(canary, revision),
        }
}
