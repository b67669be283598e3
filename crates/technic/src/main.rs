fn main() {
    std::process::exit(technic::main());
}
