//! Browsers that a user has logged in from.
