//! Steps for which the server waits for a browser's answer.

crate::project::words! {
    /// The purpose of a ceremony. It cannot be completed for another purpose.
    CeremonyKind {
        /// A login whose password was right waits for its second step.
        Login = "login",
        /// A login waits for the mail about its browser, which can be requested again.
        DeviceMail = "device-mail",
        /// The secret of an app waits for its first code.
        TotpEnroll = "totp-enroll",
        /// A new key is being created.
        KeyEnroll = "key-enroll",
        /// A passkey identifies the user, in place of name and password.
        KeyLogIn = "key-log-in",
        /// A key is requested in a login.
        KeySecondFactor = "key-second-factor",
        /// A key is requested within a session.
        KeyStepUp = "key-step-up",
    }
}
