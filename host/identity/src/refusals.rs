//! The texts of refusals, in one place.
