//! The security history of an account, in plain sentences.
