//! Rebuilds for a new migration, which no Rust file names.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
