//! A new password by a mailed link.
