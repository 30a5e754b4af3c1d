//! "This wasn't me": everything that could act for an account is ended at once.
