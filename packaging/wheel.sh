#!/bin/sh
# Builds the wheel, with the static program in it, and prints where it is. Needs Python with venv.
#
#   packaging/wheel.sh
set -eu
cd "$(dirname "$0")/.."

out=$(dirname "$(packaging/static.sh)")
target=$(rustc -vV | sed -n 's/^host: //p')
if [ ! -x "$out/venv/bin/maturin" ]; then
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.16,<2'
fi
cd packaging/wheel
# The same flags as for the static program, so that nothing is built twice.
RUSTFLAGS='-C target-feature=+crt-static' "$out/venv/bin/maturin" build --release --target "$target" \
    --compatibility manylinux2014 --out "$out" >&2
ls -t "$out"/nightshelf-*.whl | head -n 1
