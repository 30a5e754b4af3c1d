//! From the bytes of a module to something that can run: size, validity, imports, compilation,
//! type, description.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, Weak};

use sha2::{Digest, Sha256};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};
use wasmtime::component::{Component, Linker};

use crate::compile::{self, CompileError};
use crate::describe;
use crate::engine::{EngineInner, Lane};
use crate::evaluate::{self, EvaluateFailure};
use crate::module::{LaneModule, Module, ModuleInner};

/// The largest module that is read, in bytes.
pub const MAXIMUM_BYTES: usize = 8 << 20;

/// The interface a module must export.
const INTERFACE: &str = "portcullis:policy/policy@0.1.0";

/// The module cannot be loaded. Every text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Larger than 8 MiB.
    #[error(
        "the module has {found} bytes, at most {maximum} are allowed; build it with optimisation and without debug information"
    )]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The bound.
        maximum: usize,
    },
    /// Not a valid component.
    #[error("the module is not a valid component: {0}")]
    Invalid(String),
    /// It imports something.
    #[error(
        "the module imports {}; a policy may import nothing, everything it may use is in the context: build it for wasm32-unknown-unknown instead of WASI, and remove what needs files, clocks, random numbers or the network",
        .0.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    )]
    Imports(Vec<String>),
    /// It does not export the functions of the contract.
    #[error("the module does not fit the contract: {0}")]
    Contract(String),
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its sandbox would exceed the limits.
    #[error("the module needs more than a sandbox may have: {0}")]
    Resources(String),
    /// Its `describe`, or its start code, failed.
    #[error("the module's `describe` {0}")]
    Describe(EvaluateFailure),
    /// The description that `describe` returned is not allowed.
    #[error("the module's description is not allowed: {0}")]
    Descriptor(String),
}

pub(crate) fn load(engine: &Arc<EngineInner>, wasm: &[u8]) -> Result<Module, LoadError> {
    if wasm.len() > MAXIMUM_BYTES {
        return Err(LoadError::TooLarge {
            found: wasm.len(),
            maximum: MAXIMUM_BYTES,
        });
    }
    let digest: [u8; 32] = Sha256::digest(wasm).into();
    if let Some(inner) = lock(engine).get(&digest).and_then(Weak::upgrade) {
        return Ok(Module { inner });
    }
    audit(wasm)?;
    let compiled = compiled(engine, wasm, &digest)?;
    let lanes = engine
        .lanes
        .iter()
        .map(|lane| link(lane, &compiled))
        .collect::<Result<Vec<_>, _>>()?;

    let _time = engine.keep_time(0);
    evaluate::check_types(&lanes[0], &engine.budget)
        .map_err(LoadError::Describe)?
        .map_err(|mismatch| {
            LoadError::Contract(format!(
                "{mismatch}; build it against the same version of {INTERFACE}"
            ))
        })?;
    let descriptor = evaluate::describe(&lanes[0], &engine.budget).map_err(LoadError::Describe)?;
    describe::check(&descriptor).map_err(LoadError::Descriptor)?;
    let inner = Arc::new(ModuleInner {
        digest,
        descriptor,
        lanes,
        engine: Arc::clone(engine),
    });
    let mut loaded = lock(engine);
    loaded.retain(|_, module| module.strong_count() > 0);
    loaded.insert(digest, Arc::downgrade(&inner));
    Ok(Module { inner })
}

/// The imports of a core module, each as `module::name`. No policy can be packed from one that
/// imports anything: [`LoadError::Imports`] says what to do.
pub fn core_imports(wasm: &[u8]) -> Result<Vec<String>, LoadError> {
    let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid(error.to_string());
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ImportSection(section) = payload.map_err(invalid)? {
            for import in section.into_imports() {
                let import = import.map_err(invalid)?;
                imports.push(format!("{}::{}", import.module, import.name));
            }
        }
    }
    Ok(imports)
}

fn lock(engine: &EngineInner) -> MutexGuard<'_, HashMap<[u8; 32], Weak<ModuleInner>>> {
    engine
        .loaded
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Validates every byte and checks the component's imports and exports, before any of it reaches
/// the compiler.
fn audit(wasm: &[u8]) -> Result<(), LoadError> {
    if !Parser::is_component(wasm) {
        let hint = if Parser::is_core_wasm(wasm) {
            "it is a core module; `portcullis policy pack` makes a policy module of it"
        } else {
            "it does not begin like WebAssembly; give the `.wasm` file of a component"
        };
        return Err(LoadError::Invalid(hint.into()));
    }
    let features =
        WasmFeatures::WASM2 | WasmFeatures::COMPONENT_MODEL | WasmFeatures::EXTENDED_CONST;
    Validator::new_with_features(features)
        .validate_all(wasm)
        .map_err(|error| LoadError::Invalid(error.to_string()))?;

    let mut imports = Vec::new();
    let mut exports = Vec::new();
    // Components and modules nest; only the imports of the outermost one have to come from us, the
    // outer ones provide those of the inner ones.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| LoadError::Invalid(error.to_string()))?;
        match payload {
            Payload::Version {
                encoding: Encoding::Component | Encoding::Module,
                ..
            } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(
                        import
                            .map_err(|error| LoadError::Invalid(error.to_string()))?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(
                        export
                            .map_err(|error| LoadError::Invalid(error.to_string()))?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
    if !imports.is_empty() {
        return Err(LoadError::Imports(
            imports
                .iter()
                .map(|name| crate::text::line(name, 100))
                .collect(),
        ));
    }
    if !exports.iter().any(|name| name == INTERFACE) {
        let found = match exports.as_slice() {
            [] => "nothing".to_owned(),
            names => names
                .iter()
                .map(|name| format!("`{}`", crate::text::line(name, 100)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        return Err(LoadError::Contract(format!(
            "expected an export `{INTERFACE}`, found {found}; build it for the world `policy-module`"
        )));
    }
    Ok(())
}

/// The compiled module, from the cache if it can be trusted.
fn compiled(engine: &EngineInner, wasm: &[u8], digest: &[u8; 32]) -> Result<Vec<u8>, LoadError> {
    let lane = &engine.lanes[0].engine;
    if let Some(cache) = &engine.cache
        && let Some(compiled) = cache.get(lane, digest)
    {
        return Ok(compiled);
    }
    let compiled = compile::compile(&engine.compiler, lane, engine.budget.fuel.is_some(), wasm)?;
    if let Some(cache) = &engine.cache {
        cache.put(lane, digest, &compiled);
    }
    Ok(compiled)
}

/// Loads a compiled module into a lane. It is linked to nothing, so an import would be missing here
/// too.
#[expect(
    unsafe_code,
    reason = "native code can only be taken on trust; see why it can be trusted"
)]
fn link(lane: &Lane, compiled: &[u8]) -> Result<LaneModule, LoadError> {
    // SAFETY: the bytes come from our own compiler, directly or through a cache that authenticates
    // them with a key that only the server has; see `ModuleCache`.
    let component = unsafe { Component::deserialize(&lane.engine, compiled) }
        .map_err(|error| LoadError::Resources(format!("{error:#}")))?;
    let interface = component
        .get_export_index(None, INTERFACE)
        .ok_or_else(|| LoadError::Contract(format!("`{INTERFACE}` is not an interface")))?;
    let function = |name: &str| {
        component
            .get_export_index(Some(&interface), name)
            .ok_or_else(|| {
                LoadError::Contract(format!(
                    "`{INTERFACE}` has no function `{name}`; build it for the world `policy-module`"
                ))
            })
    };
    let (describe, validate_settings, evaluate) = (
        function("describe")?,
        function("validate-settings")?,
        function("evaluate")?,
    );
    let instance = Linker::new(&lane.engine)
        .instantiate_pre(&component)
        .map_err(|error| LoadError::Contract(format!("{error:#}")))?;
    Ok(LaneModule {
        instance,
        describe,
        validate_settings,
        evaluate,
    })
}
