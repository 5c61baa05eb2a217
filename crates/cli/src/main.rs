//! The `ergate` program.
fn main() {}
