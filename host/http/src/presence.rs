//! Whether the client is still there.

use tokio::sync::watch;

/// Whether the client that asked is still there, for work that is only worth doing while it is.
#[derive(Clone, Debug)]
pub(crate) struct Presence(watch::Receiver<()>);

impl Presence {
    /// The client is gone once the first of them is dropped.
    pub(crate) fn here() -> (watch::Sender<()>, Self) {
        let (here, presence) = watch::channel(());
        (here, Self(presence))
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}
