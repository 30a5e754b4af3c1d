//! Password and second factor proven within one call.

use gate::{Attempt, Gate, Refusal};
use model::{Action, Caller};

use crate::Identity;

impl Identity {
    /// Proves a person by password and, if given, TOTP code, for this request alone: no
    /// session remains. Yields credential `session` with the assurance of now. Without a
    /// code, or for a user without TOTP, the assurance carries no second factor, and it is
    /// for the policies to require one.
    pub async fn prove_person(&self, gate: &Gate, attempt: &Attempt, action: Action, user_name: &str, password: &str, totp_code: Option<&str>) -> Result<Caller, Refusal> {
        let _ = (gate, attempt, action, user_name, password, totp_code);
        todo!()
    }
}
