# One recipe a verb. The checks live in `.ci/run`, which takes the names of its stages. `just` alone lists the recipes.

_list:
    @just --list --unsorted

# Formats all Rust.
fmt:
    cargo fmt --all

# Formatting, clippy and the Lua scripts.
lint:
    .ci/run format lint lua

# All tests; arguments go to `cargo nextest run`.
test *arguments:
    script/test {{ arguments }}

# The behaviour tests on Valkey 9.
test-valkey *arguments:
    ERGATE_TEST_SERVERS=valkey script/test {{ arguments }}

# Most faults for some seconds each; arguments go to `script/chaos`.
chaos *arguments="--quick":
    script/chaos {{ arguments }}

# Ergate beside its peers; arguments go to `script/bench`.
bench *arguments:
    script/bench {{ arguments }}

# The reference of every crate, into target/doc.
docs:
    .ci/run documentation

# Licences, sources and banned crates.
deny:
    .ci/run dependencies

# A worker with the stock handlers, on the Redis of REDIS_URL or the local one.
run *arguments:
    cargo run --package ergate-worker -- {{ arguments }}

# Everything that has to hold before a change lands.
ci:
    CI=true .ci/run
