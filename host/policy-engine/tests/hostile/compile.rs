//! The compiler process and the cache of its output.

use std::path::PathBuf;

use policy_engine::{Compiler, Engine, EngineConfig, Grade, LoadError, ModuleCache, PolicySet};
use wasm_encoder::{BlockType, Instruction};

use crate::fixture::{binding, decide, read, spec, wasm};
use crate::load::{core_module, with_module};

fn process() -> Compiler {
    Compiler::Process {
        program: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-compile")),
        arguments: vec![],
    }
}

fn engine(compiler: Compiler, cache: Option<ModuleCache>) -> Engine {
    Engine::new(EngineConfig {
        lanes: 1,
        cache,
        ..EngineConfig::new(compiler)
    })
    .unwrap()
}

fn permits(engine: &Engine) -> bool {
    let module = engine.load(&wasm("permit_all")).unwrap();
    let set = PolicySet::assemble(
        1,
        &spec(vec![binding("permit-all", Grade::Enforce)]),
        &[module],
    )
    .unwrap();
    decide(&set, &read()).outcome == policy_engine::DecisionOutcome::Permitted
}

#[test]
fn a_module_compiled_in_the_process_runs() {
    assert!(permits(&engine(process(), None)));
}

#[test]
fn a_module_that_explodes_in_the_compiler_costs_no_more_than_its_limits() {
    // Every loop may change every local, so the compiler keeps track of loops times locals:
    // four hundred million values, for 300 KB of module.
    const SIZE: u32 = 20_000;
    let bomb = core_module(false, SIZE, |code| {
        for _ in 0..SIZE {
            code.instruction(&Instruction::Loop(BlockType::Empty));
        }
        for local in 0..SIZE {
            code.instruction(&Instruction::LocalGet((local + 1) % SIZE))
                .instruction(&Instruction::I32Popcnt)
                .instruction(&Instruction::LocalSet(local));
        }
        for level in 0..SIZE {
            code.instruction(&Instruction::LocalGet(level))
                .instruction(&Instruction::BrIf(0))
                .instruction(&Instruction::End);
        }
    });
    let error = engine(process(), None)
        .load(&with_module(&wasm("permit_all"), &bomb, false))
        .unwrap_err();
    assert!(matches!(error, LoadError::Compile(_)), "{error}");
    assert!(
        error.to_string().contains("make the module smaller"),
        "{error}"
    );
}

#[test]
fn a_compiler_that_cannot_be_started_or_fails_is_named() {
    let missing = Compiler::Process {
        program: "/nowhere/compiler".into(),
        arguments: vec![],
    };
    assert!(
        engine(missing, None)
            .load(&wasm("permit_all"))
            .unwrap_err()
            .to_string()
            .contains("`/nowhere/compiler` could not be run")
    );
    let fails = Compiler::Process {
        program: "/bin/false".into(),
        arguments: vec![],
    };
    assert!(
        engine(fails, None)
            .load(&wasm("permit_all"))
            .unwrap_err()
            .to_string()
            .contains("said nothing")
    );
}

#[test]
fn what_a_broken_compiler_answers_is_refused() {
    let chatters = Compiler::Process {
        program: "/bin/echo".into(),
        arguments: vec!["not native code".into()],
    };
    assert!(engine(chatters, None).load(&wasm("permit_all")).is_err());
}

#[test]
fn a_cached_module_is_not_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = || Some(ModuleCache::new(folder.path().join("modules"), [3; 32]));
    assert!(permits(&engine(process(), cache())));
    // With a compiler that always fails, only the cache can help.
    let broken = || Compiler::Process {
        program: "/bin/false".into(),
        arguments: vec![],
    };
    assert!(permits(&engine(broken(), cache())));
    let other_key = Some(ModuleCache::new(folder.path().join("modules"), [4; 32]));
    assert!(
        engine(broken(), other_key)
            .load(&wasm("permit_all"))
            .is_err()
    );
}

#[test]
fn a_module_in_use_is_not_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("compiler");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcullis-compile"), &program).unwrap();
    let engine = engine(
        Compiler::Process {
            program: program.clone(),
            arguments: vec![],
        },
        None,
    );
    let module = engine.load(&wasm("permit_all")).unwrap();
    std::fs::remove_file(program).unwrap();
    assert_eq!(
        engine.load(&wasm("permit_all")).unwrap().digest(),
        module.digest()
    );
    drop(module);
    assert!(
        engine.load(&wasm("permit_all")).is_err(),
        "what nobody uses is not kept"
    );
}
