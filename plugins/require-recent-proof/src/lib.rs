//! require-recent-proof
