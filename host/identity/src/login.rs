//! Logging in: password, second factor, passkey, unknown devices.
