//! The compiler process on its own, for tests and tools: a component on standard input,
//! its compiled form on standard output.

fn main() -> std::process::ExitCode {
    policy_engine::compile_worker_main()
}
