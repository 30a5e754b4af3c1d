//! `cargo xtask build-plugins`: compiles policy modules to WebAssembly and packs them
//! into components.
//!
//! | from | to |
//! | --- | --- |
//! | `plugins/<name>` | `target/plugins/<name>.wasm`, `policies/modules/<name>.wasm` |
//! | `tests/guests/examples/<name>.rs` | `target/guests/<name>.wasm` |

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

/// What a policy module exports (`wit/policy.wit`), without its version.
const INTERFACE: &str = "portcullis:policy/policy@";

/// The crate in `plugins/` that is no plugin.
const SDK: &str = "policy-sdk";

/// Builds every plugin and every guest of the tests. Cargo decides what is out of date;
/// files that would not change are left alone.
pub(crate) fn build() -> anyhow::Result<()> {
    add_target()?;
    let workspace = workspace();
    let plugins = names_in(&workspace.join("plugins"), |path| path.is_dir().then(|| stem(path)))?;
    let plugins: Vec<String> = plugins.into_iter().filter(|name| name != SDK).collect();
    let guests = names_in(&workspace.join("tests/guests/examples"), |path| path.extension().is_some_and(|it| it == "rs").then(|| stem(path)))?;

    println!("building {} policy modules and {} guests for {TARGET}", plugins.len(), guests.len());
    compile(&plugins, !guests.is_empty())?;

    let built = workspace.join("target").join(TARGET).join("guest");
    for name in &plugins {
        let core = read(&built.join(format!("{}.wasm", name.replace('-', "_"))))?;
        let component = pack(&core).with_context(|| format!("plugin {name}"))?;
        let shape = Shape::of(&component).with_context(|| format!("plugin {name}"))?;
        ensure!(
            shape.exports.iter().any(|export| export.starts_with(INTERFACE)),
            "plugin {name} does not export {INTERFACE}: end its lib.rs with `policy_sdk::export!(…)`"
        );
        ensure!(shape.imports.is_empty(), "plugin {name} imports {}; a policy module may import nothing", shape.imports.join(", "));
        ensure!(
            shape.initial_pages <= 1,
            "plugin {name} starts with {} pages of memory; it has to fit in one (64 KiB) to be cheap, see docs/policy-authors.md",
            shape.initial_pages
        );
        write_if_changed(&workspace.join("target/plugins").join(format!("{name}.wasm")), &component)?;
        let changed = write_if_changed(&workspace.join("policies/modules").join(format!("{name}.wasm")), &component)?;
        let note = if changed { "" } else { ", unchanged" };
        println!("  {name}: {:.1} KiB, {} page of memory, no imports{note}", component.len() as f64 / 1024.0, shape.initial_pages);
    }
    for name in &guests {
        let core = read(&built.join("examples").join(format!("{name}.wasm")))?;
        // Some guests are wrong on purpose, so wrong that they cannot be packed. The
        // engine gets them as they are.
        let (module, form) = match pack(&core) {
            Ok(component) => (component, "component"),
            Err(_) => (core, "core module"),
        };
        write_if_changed(&workspace.join("target/guests").join(format!("{name}.wasm")), &module)?;
        println!("  guest {name}: {:.1} KiB {form}", module.len() as f64 / 1024.0);
    }
    Ok(())
}

fn compile(plugins: &[String], guests: bool) -> anyhow::Result<()> {
    let mut command = Command::new(cargo());
    command.current_dir(workspace()).args(["build", "--quiet", "--profile", "guest", "--target", TARGET, "--lib"]);
    for name in plugins {
        command.args(["--package", name]);
    }
    if guests {
        command.args(["--package", "guests", "--examples"]);
    }
    let status = command.status().context("cargo did not start")?;
    ensure!(status.success(), "the policy modules do not compile, see above");
    Ok(())
}

/// Installs the standard library for wasm where it is missing.
fn add_target() -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).current_dir(workspace()).args(["--print", "sysroot"]).output().context("rustc did not start")?;
    ensure!(output.status.success(), "rustc --print sysroot failed");
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).context("path of the sysroot")?.trim_end());
    if sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    println!("adding the target {TARGET} with rustup (once)");
    let status = Command::new("rustup").args(["target", "add", TARGET]).current_dir(workspace()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("rustup could not add {TARGET}: check the network, then run `rustup target add {TARGET}` by hand"),
        Err(error) => bail!("{TARGET} is missing and rustup did not start ({error}): install rustup, or add the target the way your toolchain does"),
    }
}

/// Turns a core module into a component of the world it was compiled for.
fn pack(core: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(core)?.encode()
}

/// What a component asks of its host before its first instruction.
struct Shape {
    imports: Vec<String>,
    exports: Vec<String>,
    initial_pages: u64,
}

impl Shape {
    fn of(component: &[u8]) -> anyhow::Result<Self> {
        let mut shape = Shape { imports: Vec::new(), exports: Vec::new(), initial_pages: 0 };
        // Encoding of each module or component we are inside of, outermost first.
        let mut inside = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding, .. } => inside.push(encoding),
                Payload::End(_) => drop(inside.pop()),
                Payload::ComponentImportSection(imports) if inside == [Encoding::Component] => {
                    for import in imports {
                        shape.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if inside == [Encoding::Component] => {
                    for export in exports {
                        shape.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        shape.initial_pages += memory?.initial;
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }
}

fn names_in(folder: &Path, name: impl Fn(&Path) -> Option<String>) -> anyhow::Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        names.extend(name(&entry?.path()));
    }
    names.sort();
    Ok(names)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Writes beside the file and renames, so that a server that watches the folder never
/// reads half a module. Says whether there was anything to write.
fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let folder = path.parent().context("a module lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&beside, bytes).with_context(|| beside.display().to_string())?;
    fs::rename(&beside, path).with_context(|| path.display().to_string())?;
    Ok(true)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The top folder of the repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
