#!/bin/sh
# Builds the Debian package, and prints where it is. It holds the static program, so it needs nothing but Linux: Debian and
# Ubuntu of any age will do.
#
#   packaging/deb.sh
#
# Needs dpkg-deb; cargo-deb is installed beside what is built here, if it is not there.
set -eu
cd "$(dirname "$0")/.."

program=$(packaging/static.sh)
out=$(dirname "$program")
target=$(rustc -vV | sed -n 's/^host: //p')
if ! cargo deb --version >/dev/null 2>&1; then
    cargo install --locked --quiet --root "$out/tools" cargo-deb@3.8.0 >&2
    PATH=$PATH:$out/tools/bin
fi

# What stands beside the program: pages of the manual, completions. cargo-deb looks for them beside the program.
beside=${CARGO_TARGET_DIR:-target}/$target/release/beside
rm -rf "$beside"
mkdir -p "$beside"
"$program" generate man --out "$beside/man" 2>/dev/null
for shell in bash zsh fish; do
    "$program" generate completions "$shell" >"$beside/nightshelf.$shell"
done
packaging/licences.sh >"$beside/third-party-licences"
gzip -9n "$beside/third-party-licences" "$beside"/man/*.1

rm -f "$out"/nightshelf_*.deb
cargo deb --quiet --no-build --target "$target" --output "$out/" >&2
ls "$out"/nightshelf_*.deb
