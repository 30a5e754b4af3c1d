//! A new migration is a change, though no Rust file names it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
