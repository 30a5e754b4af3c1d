//! `pack-guests <folder> <core module>…`: packs the guests of `tests/guests` into components,
//! without checking their imports or behaviour. Some are so wrong on purpose that they cannot be
//! packed; the engine gets those unpacked.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: pack-guests <folder> <core module>…");
        return ExitCode::from(2);
    };
    for core in arguments {
        if let Err(cause) = pack(&core, &folder) {
            eprintln!("{}: {cause}", core.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn pack(core: &Path, folder: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(core)?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode());
    std::fs::create_dir_all(folder)?;
    std::fs::write(
        folder.join(core.file_name().unwrap_or_default()),
        component.unwrap_or(bytes),
    )
}
