//! Proving a factor again within a session.
