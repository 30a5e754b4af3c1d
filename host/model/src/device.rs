//! What a user proves themselves with: a browser or a command line, known again by a secret, or
//! a key.

crate::project::words! {
    /// Which of the two it is. A secret that makes one known makes no other known.
    DeviceKind {
        /// A browser, by a cookie.
        Browser = "browser",
        /// A program that sends password and code with a call, by a field of that call.
        CommandLine = "command-line",
    }
}

crate::project::words! {
    /// How a key is used.
    KeyKind {
        /// A second factor in addition to the password.
        SecurityKey = "security-key",
        /// A login by itself: the authenticator verifies the person.
        Passkey = "passkey",
    }
}
