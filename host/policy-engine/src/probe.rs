//! Asks a set what it could permit at all.
