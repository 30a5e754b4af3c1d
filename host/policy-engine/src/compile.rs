//! Compiling a module to native code, in a process that can be bounded and killed.

use std::path::PathBuf;
use std::process::ExitCode;

/// How modules are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process with limits on memory, processor time and wall-clock time: for
    /// anything that loads modules it did not write. The program must call
    /// [`compile_worker_main`] when started with these arguments.
    Process {
        /// The program to start.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// In this process, without limits: for tests and benchmarks.
    InProcess,
}

/// The module could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler process could not be started or spoken to.
    #[error("the compiler process could not be run: {0}")]
    Process(#[source] std::io::Error),
    /// The compiler process was ended because it used too much.
    #[error("compiling took more than {0}; make the module smaller")]
    Exceeded(&'static str),
    /// The compiler refused the module.
    #[error("the compiler refused the module: {0}")]
    Refused(String),
}

/// The body of the compiler process: reads a component on standard input and writes its
/// compiled form on standard output.
pub fn compile_worker_main() -> ExitCode {
    todo!()
}
