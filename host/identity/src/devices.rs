//! Browsers that a user has logged in from, and the confirmation of new ones by mail.

use gate::{Attempt, Gate, Refusal};
use model::{Timestamp, UserName};
use storage::StorageError;

use crate::Identity;

/// A browser that waits to be confirmed, as the mailed page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInWords {
    pub user: UserName,
    pub remote_address: String,
    /// The browser in words.
    pub device: String,
    /// When it tried to log in.
    pub at: Timestamp,
}

impl Identity {
    /// Which browser a mailed link would confirm; none when the link does not count.
    /// Changes nothing.
    pub async fn device_to_confirm(&self, link: &str) -> Result<Option<DeviceInWords>, StorageError> {
        let _ = link;
        todo!()
    }

    /// Confirms the browser that the mailed link is about; false when the link does not count.
    pub async fn confirm_device(&self, gate: &Gate, attempt: &Attempt, link: &str) -> Result<bool, Refusal> {
        let _ = (gate, attempt, link);
        todo!()
    }
}
