//! What a user proves themselves with: a browser or a command line, known again by a secret.

crate::project::words! {
    /// Which of the two it is. A secret that makes one known makes no other known.
    DeviceKind {
        /// A browser, by a cookie.
        Browser = "browser",
        /// A program that sends password and code with a call, by a field of that call.
        CommandLine = "command-line",
    }
}
