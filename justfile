# Shortcuts. Each calls what can be called without `just`, too.

# Lists the recipes.
default:
    @just --list

# Everything that CI runs.
ci:
    .ci/run

# Runs the tests; with arguments, those of `cargo test`.
test *ARGS='--no-fail-fast':
    tests/run {{ ARGS }}

# Runs a benchmark, such as `just bench proxy --cases small,tls`.
bench NAME *ARGS:
    cargo bench --locked --profile dev --bench {{ NAME }} -- {{ ARGS }}

# Formats the code.
fmt:
    cargo fmt

# Checks licences, advisories and sources of the dependencies.
deny:
    cargo deny --locked check
