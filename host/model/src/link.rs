//! Links that are mailed or printed, and followed once.

crate::project::words! {
    /// The purpose of a link; it is not valid for any other.
    LinkPurpose {
        /// Confirm a registration.
        Registration = "registration",
        /// Create the first user, who is staff.
        FirstUser = "first-user",
        /// Set a new password.
        PasswordReset = "password-reset",
        /// Verify an email address.
        EmailVerify = "email-verify",
        /// Make a browser or a command line known.
        DeviceConfirm = "device-confirm",
        /// Stop a recovery by staff.
        RecoveryCancel = "recovery-cancel",
    }
}
