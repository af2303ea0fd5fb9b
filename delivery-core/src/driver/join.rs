//! Several futures at the same time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

/// The outputs of all futures, in their order.
pub(super) async fn all<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut slots: Vec<(Option<T>, _)> = futures.into_iter().map(|it| (None, it)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (output, future) in slots.iter_mut().filter(|(output, _)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(it) => *output = Some(it),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    slots.into_iter().filter_map(|(output, _)| output).collect()
}
