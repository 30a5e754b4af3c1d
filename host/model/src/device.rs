//! Things that prove who a user is: a browser or a command line, recognised by a secret, or a key.

crate::project::words! {
    /// The kind of device. The secret of one kind is not valid for the other.
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
