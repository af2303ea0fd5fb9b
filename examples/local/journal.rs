//! What the controller told, in order and each thing once, however often it was sent.

use std::sync::Arc;

use delivery_core::rollout::{Notice, Phase};
use tokio::sync::watch;

use crate::screen;

/// What was told. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<watch::Sender<Vec<Notice>>>);

impl Journal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    /// A notice has come; a repeated one is dropped.
    pub(crate) fn tell(&self, notice: Notice) {
        self.0.send_if_modified(|told| {
            if told.iter().any(|it| it.id == notice.id) {
                return false;
            }
            screen::row(&notice);
            told.push(notice);
            true
        });
    }

    /// Everything that was told.
    pub(crate) fn told(&self) -> Vec<Notice> {
        self.0.borrow().clone()
    }

    /// Waits until, of what was told after the first `skip` notices, one has a phase that is asked for.
    pub(crate) async fn phase(&self, skip: usize, wanted: &[Phase]) -> Notice {
        let mut told = self.0.subscribe();
        let found = |told: &[Notice]| {
            told.iter()
                .skip(skip)
                .find(|it| wanted.contains(&it.phase))
                .cloned()
        };
        loop {
            if let Some(notice) = found(&told.borrow_and_update()) {
                return notice;
            }
            if told.changed().await.is_err() {
                // We hold the sender ourselves.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until something more than the first `skip` notices was told.
    pub(crate) async fn more(&self, skip: usize) {
        let _ = self.0.subscribe().wait_for(|told| told.len() > skip).await;
    }
}
