//! Random bytes for keys, secrets and codes.

/// Fills `bytes` from the operating system.
///
/// # Panics
/// If the operating system provides none: nothing here would be safe.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for them"
)]
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has random bytes");
}
