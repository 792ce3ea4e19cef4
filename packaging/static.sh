#!/bin/sh
# Builds the program for the CPU as one static file, which runs on any Linux of this processor, in an empty container too.
# The packages hold this file.
#
#   packaging/static.sh        prints where it is
set -eu
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
# glibc, linked statically: nothing here looks up users or hosts, or opens libraries, which is what that cannot do.
RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --no-default-features --target "$target" >&2

built=${CARGO_TARGET_DIR:-target}/$target/release/nightshelf
if readelf --dynamic "$built" | grep -q NEEDED; then
    echo "$built is not static" >&2
    exit 1
fi
stripped=${CARGO_TARGET_DIR:-target}/packages/nightshelf
mkdir -p "$(dirname "$stripped")"
strip --strip-all -o "$stripped" "$built"
echo "$stripped"
