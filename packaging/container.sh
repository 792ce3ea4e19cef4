#!/bin/sh
# Builds the image `nightshelf:VERSION`, and tries it: the demo as nobody, in a folder that is mounted. With docker, podman or
# buildah, whichever works; where none does, the image's steps are taken in an empty folder, and the same is tried there.
#
#   packaging/container.sh
set -eu
cd "$(dirname "$0")/.."

program=$(packaging/static.sh)
version=$("$program" --version | sed 's/.* //')
context=$(dirname "$program")/container
rm -rf "$context"
mkdir -p "$context/licences"
cp "$program" "$context/nightshelf"
cp LICENSE-MIT LICENSE-APACHE "$context/licences/"
packaging/licences.sh >"$context/licences/third-party"

data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
chown 65532:65532 "$data" 2>/dev/null || chmod 777 "$data"

for builder in docker podman; do
    if $builder info >/dev/null 2>&1; then
        $builder build --quiet --file packaging/container/Containerfile --tag "nightshelf:$version" "$context" >&2
        $builder run --rm --network none --volume "$data:/data" "nightshelf:$version" demo --db /data/shop.db >&2
        $builder run --rm --network none --read-only --volume "$data:/data" "nightshelf:$version" >&2
        $builder run --rm --network none --volume "$data:/data" "nightshelf:$version" doctor --quiet
        echo "nightshelf:$version"
        exit
    fi
done

echo "no docker and no podman works here: the steps of the Containerfile, in an empty folder" >&2
root=$context/root
mkdir -p "$root/usr/bin" "$root/data"
cp "$context/nightshelf" "$root/usr/bin/"
chown 65532:65532 "$root/data"
# What every container is given.
mkdir "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
inside() { chroot --userspec=65532:65532 "$root" /usr/bin/nightshelf "$@"; }
NIGHTSHELF_DB=/data/shop.db TMPDIR=/data
export NIGHTSHELF_DB TMPDIR
inside demo --db /data/shop.db >&2
inside run >&2
inside doctor --quiet
echo "$root"
