//! From the bytes of a module to something that can be run: size, validity, imports,
//! type, compilation, description.

use crate::compile::CompileError;
use crate::evaluate::EvaluateFailure;

/// The module cannot be loaded. Every text says what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Larger than [`MAXIMUM_BYTES`].
    #[error("the module has {found} bytes, at most {maximum} are allowed; build it with optimisation and without debug information")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound.
        maximum: usize,
    },
    /// Not a valid component.
    #[error("{0}")]
    Invalid(String),
    /// It imports something.
    #[error(
        "the module imports {}; a policy may import nothing: everything it may use is in the context (build for wasm32-unknown-unknown, not for WASI)",
        .0.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    )]
    Imports(Vec<String>),
    /// It does not export what the contract asks for.
    #[error("the module does not fit portcullis:policy@0.1.0: {0}")]
    Contract(String),
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its `describe` failed.
    #[error("the module's `describe` {0}")]
    Describe(EvaluateFailure),
    /// What `describe` answered is not allowed.
    #[error("the module's description is not allowed: {0}")]
    Descriptor(String),
    /// The engine failed, not the module.
    #[error("the engine failed: {0}")]
    Engine(String),
}
