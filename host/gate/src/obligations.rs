//! What the host must do for a decision to hold.
