//! A new password for somebody who knows the old one.
