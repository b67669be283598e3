//! Prints the description of the HTTP interface: `cargo run --release -p publisher --example openapi > docs/openapi.json`.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    print!("{}", publisher::openapi_json());
}
