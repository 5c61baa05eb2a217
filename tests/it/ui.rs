//! What the compiler says of handlers that are none.

#[test]
fn the_compiler_explains_what_is_no_handler() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
