//! What a server asked a browser and waits to hear.

crate::project::words! {
    /// What a ceremony is for. What was asked for one purpose is no answer to another.
    CeremonyKind {
        /// A login whose password was right waits for its second step.
        Login = "login",
        /// A login waits for the mail about its browser, which can be asked for again.
        DeviceMail = "device-mail",
        /// The secret of an app waits for its first code.
        TotpEnroll = "totp-enroll",
        /// A new key is to be made.
        KeyEnroll = "key-enroll",
        /// A passkey is to say who it is, in the place of name and password.
        KeyLogIn = "key-log-in",
        /// A key is asked for in a login.
        KeySecondFactor = "key-second-factor",
        /// A key is asked for within a session.
        KeyStepUp = "key-step-up",
    }
}
