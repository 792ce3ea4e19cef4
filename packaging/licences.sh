#!/bin/sh
# Writes the licences of all that is linked into the program, with the names of the crates. Needs cargo-about, which is
# installed beside what is built here, if it is not there; a crate with a licence that is not in about.toml is an error.
set -eu
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-target}/packages/tools
PATH=$PATH:$tools/bin
if ! cargo about --version >/dev/null 2>&1; then
    cargo install --locked --quiet --root "$tools" --features cli cargo-about@0.9.3 >&2
fi
# It asks for the crates of all platforms.
cargo fetch --locked --quiet
cargo about generate --offline --no-default-features --fail --config packaging/about.toml packaging/licences.hbs
