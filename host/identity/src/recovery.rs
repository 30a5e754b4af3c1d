//! Recovery of an account by staff: announced, delayed, audited.
