//! Links that are mailed or printed, and followed once.

crate::project::words! {
    /// What a link is for; it can be taken for nothing else.
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
