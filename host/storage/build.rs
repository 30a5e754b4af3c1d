//! A new migration is a change, though no Rust file names it.

#[expect(clippy::print_stdout, reason = "it is how a build script speaks")]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
