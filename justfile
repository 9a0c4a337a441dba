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

# Looks for inputs that break a rule, for so many seconds; needs nightly and `cargo install cargo-fuzz`. Targets: `fuzz/seeds`.
fuzz TARGET SECONDS='600':
    mkdir -p fuzz/corpus/{{ TARGET }}
    cargo +nightly fuzz run --sanitizer none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }} -max_len=4096

# Runs a benchmark, such as `just bench proxy --cases small,tls`.
bench NAME *ARGS:
    cargo bench --locked --profile dev --bench {{ NAME }} -- {{ ARGS }}

# Formats the code.
fmt:
    cargo fmt --all

# Checks licences, advisories and sources of the dependencies.
deny:
    cargo deny --locked check
