//! The limits of one call into a policy.

/// The limits of one call into a policy. Never unlimited: a policy that reaches any of them fails
/// ([`EvaluateFailure`](crate::EvaluateFailure)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Time of an `evaluate` in milliseconds. Enforced by a ticker of 1 ms, so the actual limit is
    /// a tick or two later. A thread that had to wait for a processor gets more, up to ten times as
    /// much, so that a busy machine does not fail decisions.
    pub time_ms: u64,
    /// Time of a `describe` or `validate-settings` in milliseconds. These run
    /// once, off the request path, and may run cold.
    pub load_time_ms: u64,
    /// Fuel of a call: roughly one unit for each wasm instruction. `None` disables fuel, which
    /// leaves time as the only limit on work.
    pub fuel: Option<u64>,
    /// Bytes of linear memory of the whole sandbox.
    pub memory_bytes: usize,
    /// Elements of all tables of the sandbox.
    pub table_elements: usize,
    /// Bytes that the host allocates for the result of a call: all strings and lists.
    pub output_bytes: usize,
}

impl Default for Budget {
    /// Generous for a policy that takes microseconds, and small enough that a hostile one does no
    /// harm: 10 ms, 20 million units of fuel, 16 MiB, 10,000 table elements, and 64 KiB of output
    /// (the longest verdict that the contract allows is about 20 KiB).
    fn default() -> Self {
        Budget {
            time_ms: 10,
            load_time_ms: 200,
            fuel: Some(20_000_000),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            output_bytes: 64 << 10,
        }
    }
}
