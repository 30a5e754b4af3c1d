//! `cargo xtask build-plugins`: compiles policy modules to WebAssembly and lets the program pack
//! them into components, as authors do.
//!
//! | from | to |
//! | --- | --- |
//! | `plugins/<name>` | `policies/modules/<name>.wasm` |
//! | `tests/guests/examples/<name>.rs` | `target/guests/<name>.wasm`, by the tests' own packer |

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

const TARGET: &str = "wasm32-unknown-unknown";

/// The crate in `plugins/` that is not a plugin.
const SDK: &str = "policy-sdk";

/// Builds every plugin and packs it with this program, which refuses everything that a registry
/// would refuse. Cargo decides what is out of date; unchanged files are left alone.
pub(crate) fn build(program: &Path) -> anyhow::Result<()> {
    add_target()?;
    let plugins = names_in(&workspace().join("plugins"), |path| {
        path.is_dir().then(|| stem(path))
    })?;
    let plugins: Vec<String> = plugins.into_iter().filter(|name| name != SDK).collect();
    println!("building {} policy modules for {TARGET}", plugins.len());
    compile(
        plugins
            .iter()
            .flat_map(|name| ["--package", name])
            .chain(["--lib"]),
    )?;
    for name in &plugins {
        let core = built().join(format!("{}.wasm", name.replace('-', "_")));
        let beside = built().join(format!("{name}.{}.component", std::process::id()));
        let output = Command::new(program)
            .args(["policy", "pack"])
            .arg(&core)
            .arg("--output")
            .arg(&beside)
            .output();
        let output = output.with_context(|| format!("{} did not start", program.display()))?;
        ensure!(
            output.status.success(),
            "plugin {name}: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        let component = read(&beside)?;
        fs::remove_file(&beside).with_context(|| beside.display().to_string())?;
        let changed = write_if_changed(
            &workspace()
                .join("policies/modules")
                .join(format!("{name}.wasm")),
            &component,
        )?;
        println!(
            "  {name}: {:.1} KiB{}",
            component.len() as f64 / 1024.0,
            if changed { "" } else { ", unchanged" }
        );
    }
    Ok(())
}

/// Builds the misbehaving modules, and packs them with the tests' own packer: they exist to be
/// refused by `portcullis policy pack`.
pub(crate) fn build_guests(packer: &Path) -> anyhow::Result<()> {
    add_target()?;
    println!("building guests of the tests for {TARGET}");
    compile(["--package", "guests", "--examples"])?;
    let guests = names_in(&workspace().join("tests/guests/examples"), |path| {
        path.extension()
            .is_some_and(|it| it == "rs")
            .then(|| stem(path))
    })?;
    let cores = guests
        .iter()
        .map(|name| built().join("examples").join(format!("{name}.wasm")));
    let status = Command::new(packer)
        .arg(workspace().join("target/guests"))
        .args(cores)
        .status();
    ensure!(
        status
            .with_context(|| format!("{} did not start", packer.display()))?
            .success(),
        "the guests could not be packed, see above"
    );
    Ok(())
}

/// Where cargo puts code compiled for policies.
fn built() -> PathBuf {
    workspace().join("target").join(TARGET).join("guest")
}

fn compile<'a>(what: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut command = Command::new(cargo());
    command
        .current_dir(workspace())
        .args(["build", "--quiet", "--profile", "guest", "--target", TARGET])
        .args(what);
    let status = command.status().context("cargo did not start")?;
    ensure!(
        status.success(),
        "the policy modules do not compile, see above"
    );
    Ok(())
}

/// Installs the standard library for wasm if it is missing.
fn add_target() -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(workspace())
        .args(["--print", "sysroot"])
        .output()
        .context("rustc did not start")?;
    ensure!(output.status.success(), "rustc --print sysroot failed");
    let sysroot = PathBuf::from(
        String::from_utf8(output.stdout)
            .context("path of the sysroot")?
            .trim_end(),
    );
    if sysroot
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib")
        .is_dir()
    {
        return Ok(());
    }
    println!("adding the target {TARGET} with rustup (once)");
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(workspace())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!(
            "rustup could not add {TARGET}: check the network, then run `rustup target add {TARGET}` by hand"
        ),
        Err(error) => bail!(
            "{TARGET} is missing and rustup did not start ({error}): install rustup, or add the target the way your toolchain does"
        ),
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
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Writes a temporary file and renames it, so that a server that watches the folder never reads
/// half a module. Returns whether there was anything to write.
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

/// The cargo that runs this tool.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The top folder of the repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}
