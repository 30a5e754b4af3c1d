//! What would be lost without a second factor: which projects and which policies demand one
//! of a user.
