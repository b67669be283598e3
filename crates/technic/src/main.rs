/// A row is some thirty small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if technic::is_golden_reader() {
        return;
    }
    std::process::exit(technic::main());
}
