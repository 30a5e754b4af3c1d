//! refuse-breached-passwords
