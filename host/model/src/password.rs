//! Facts about a password besides its hash.

crate::project::words! {
    /// Why a password is disabled. Only a mailed link sets a new one.
    PasswordDisabled {
        /// A policy demanded it.
        Policy = "policy",
        /// Staff recovered the account.
        Recovery = "recovery",
        /// Its owner secured the account: until there is a new password, no credential gives
        /// access.
        Secured = "secured by its owner",
    }
}
