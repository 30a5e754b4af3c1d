//! Modules that are refused when they are loaded, and the messages.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentExportKind, ComponentExportSection,
    ComponentInstanceSection, Function, FunctionSection, InstanceSection, Instruction,
    MemorySection, MemoryType, Module, ModuleArg, ModuleSection, StartSection, TypeSection,
    ValType,
};

use crate::fixture::{engine, load_error, module, wasm};

#[track_caller]
fn check_refused(wasm: &[u8], words: &[&str]) {
    let error = load_error(wasm).to_string();
    for word in words {
        assert!(error.contains(word), "`{error}` does not say `{word}`");
    }
    assert!(
        !error.contains('\n') && !error.contains('\u{1b}'),
        "one clean line for the operator: {error}"
    );
}

#[test]
fn a_module_of_another_world_is_refused() {
    check_refused(
        &wasm("wrong_world"),
        &[
            "expected an export `portcullis:policy/policy@0.1.0`",
            "found `elsewhere:greeter/greeter@1.0.0`",
            "policy-module",
        ],
    );
}

#[test]
fn a_module_that_imports_anything_is_refused_by_name() {
    check_refused(
        &wasm("imports_wasi"),
        &[
            "`wasi:clocks/wall-clock@0.2.0`",
            "`wasi:filesystem/preopens@0.2.0`",
            "may import nothing",
            "wasm32-unknown-unknown",
        ],
    );
    check_refused(
        &wasm("imports_network"),
        &["`wasi:sockets/tcp@0.2.0`", "`tell`", "may import nothing"],
    );
}

#[test]
fn what_is_no_component_is_refused() {
    check_refused(b"", &["does not begin like WebAssembly"]);
    check_refused(b"\x7fELF", &["does not begin like WebAssembly"]);
    check_refused(
        &Module::new().finish(),
        &["core module", "`portcullis policy pack`"],
    );
    check_refused(
        &vec![0; (8 << 20) + 1],
        &["8388609 bytes", "at most 8388608"],
    );
    check_refused(&Component::new().finish(), &["found nothing"]);
}

#[test]
fn a_damaged_module_is_refused_at_every_byte() {
    let good = wasm("permit_all");
    for cut in (9..good.len()).step_by(997) {
        let _ = load_error(&good[..cut]);
    }
    for position in (8..good.len()).step_by(611) {
        let mut damaged = good.clone();
        damaged[position] ^= 0xff;
        // Some bytes (names, constants) may be anything; nothing may crash.
        let _ = engine().load(&damaged);
    }
}

#[test]
fn a_module_whose_interface_is_empty_is_refused() {
    let mut component = Component::new();
    let mut instances = ComponentInstanceSection::new();
    instances.export_items::<&str, [(&str, ComponentExportKind, u32); 0]>([]);
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export(
        "portcullis:policy/policy@0.1.0",
        ComponentExportKind::Instance,
        0,
        None,
    );
    component.section(&exports);
    check_refused(&component.finish(), &["has no function `describe`"]);
}

#[test]
fn a_description_that_breaks_the_contract_is_refused() {
    check_refused(
        &wasm("bad_settings"),
        &[
            "setting `days`",
            "the default is wrong",
            "a whole number from 1 to 7",
        ],
    );
    check_refused(&wasm("bad_name"), &["`name` must be lower-case words"]);
}

#[test]
fn a_description_that_never_comes_is_refused() {
    check_refused(&wasm("slow_describe"), &["`describe`", "units of fuel"]);
}

#[test]
fn start_code_runs_under_the_budget() {
    let module = core_module(true, 0, |code| {
        code.instruction(&Instruction::Loop(BlockType::Empty))
            .instruction(&Instruction::Br(0))
            .instruction(&Instruction::End);
    });
    check_refused(
        &with_module(&wasm("permit_all"), &module, true),
        &["`describe`", "units of fuel"],
    );
}

#[test]
fn a_module_that_starts_with_too_much_memory_is_refused() {
    let mut module = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1000,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    module.section(&memories);
    check_refused(
        &with_module(&wasm("permit_all"), &module, true),
        &["more than a sandbox may have"],
    );
}

#[test]
fn a_well_behaved_module_is_loaded_and_described() {
    let module = module("permit_all");
    assert_eq!(module.descriptor().name, "permit-all");
    assert_eq!(module.digest_hex().len(), 64);
}

/// A core module with one function of type `() -> ()` and some 32-bit locals, which may
/// be its start function.
pub(crate) fn core_module(start: bool, locals: u32, body: impl FnOnce(&mut Function)) -> Module {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    types.ty().function([], []);
    module.section(&types);
    let mut functions = FunctionSection::new();
    functions.function(0);
    module.section(&functions);
    if start {
        module.section(&StartSection { function_index: 0 });
    }
    let mut function = Function::new([(locals, ValType::I32)]);
    body(&mut function);
    function.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&function);
    module.section(&code);
    module
}

/// A component with another core module in it, instantiated or not.
pub(crate) fn with_module(component: &[u8], module: &Module, instantiate: bool) -> Vec<u8> {
    let modules = wasmparser::Parser::new(0)
        .parse_all(component)
        .filter(|payload| matches!(payload, Ok(wasmparser::Payload::ModuleSection { .. })))
        .count();
    let mut bytes = component.to_vec();
    let append = |bytes: &mut Vec<u8>, section: &dyn wasm_encoder::ComponentSection| {
        section.append_to_component(bytes)
    };
    append(&mut bytes, &ModuleSection(module));
    if instantiate {
        let mut instances = InstanceSection::new();
        instances.instantiate::<[(&str, ModuleArg); 0], &str>(u32::try_from(modules).unwrap(), []);
        append(&mut bytes, &instances);
    }
    bytes
}
