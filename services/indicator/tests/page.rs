//! The page of all indicators is that of this build.

#[path = "../examples/page.rs"]
#[expect(dead_code, reason = "its main function")]
mod page;

#[test]
fn the_page_is_up_to_date() {
    let command = "cargo run --release -p indicator --example page > docs/indicators.md";
    assert!(page::page() == include_str!("../../../docs/indicators.md"), "run `{command}`");
}

#[test]
fn the_page_has_every_native_column_in_order() {
    let text = page::page();
    let mut rest = text.as_str();
    for column in indicator::plan().columns() {
        let at =
            rest.find(&format!("`{column}`")).unwrap_or_else(|| panic!("{column} is not on the page, or not in order"));
        rest = &rest[at..];
    }
}
