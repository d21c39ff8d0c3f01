//! Migrations are embedded: a new file must reach the binary.
fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
