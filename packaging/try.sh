#!/bin/sh
# Tries the packages as a newcomer would: a fresh Debian 12 without a toolchain, three commands each. Needs root, for chroot, and
# debootstrap; the fresh root is kept, and copied for each try.
#
#   packaging/try.sh          the Debian package, the wheel, Kubernetes, Datasette
set -eu
cd "$(dirname "$0")/.."

deb=$(packaging/deb.sh)
wheel=$(packaging/wheel.sh)
out=$(dirname "$deb")
fresh=$out/bookworm
if [ ! -e "$fresh/complete" ]; then
    rm -rf "$fresh"
    debootstrap --variant=minbase --include=python3-venv,man-db,systemd bookworm "$fresh" >"$out/debootstrap.log" 2>&1 || {
        tail -n 5 "$out/debootstrap.log" >&2
        exit 1
    }
    touch "$fresh/complete"
fi
root=$out/root
again() {
    rm -rf "$root"
    cp -a "$fresh" "$root"
}
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
says() {
    grep -q "$1" "$2" || {
        echo "expected $1 in:" >&2
        cat "$2" >&2
        exit 1
    }
}

echo "== the Debian package" >&2
again
find "$root" -xdev \( -path "$root/var/cache/*" -o -path "$root/var/lib/dpkg/*" -o -path "$root/var/log/*" \) -prune -o -print |
    sort >"$out/before"
cp "$deb" "$root/nightshelf.deb"
began=$(date +%s)
inside dpkg -i /nightshelf.deb >"$out/log" 2>&1
inside nightshelf demo --db /srv/shop.db >"$out/log" 2>&1
says 'recommendations' "$out/log"
inside nightshelf recommend --db /srv/shop.db --user 1 >"$out/log" 2>&1
echo "three commands: $(($(date +%s) - began)) seconds" >&2
inside man -P cat nightshelf-run >"$out/log" 2>&1
says 'nightly job' "$out/log"
for file in usr/share/bash-completion/completions/nightshelf usr/share/zsh/vendor-completions/_nightshelf \
    usr/share/fish/vendor_completions.d/nightshelf.fish etc/nightshelf/nightly.toml \
    usr/share/doc/nightshelf/copyright usr/share/doc/nightshelf/third-party-licences.gz; do
    test -s "$root/$file" || { echo "$file is not there" >&2; exit 1; }
done
# The timer of a database, as its owner enables it.
echo NIGHTSHELF_DB=/srv/shop.db >"$root/etc/nightshelf/shop.conf"
systemctl --root="$root" enable nightshelf@shop.timer >"$out/log" 2>&1
test -L "$root/etc/systemd/system/timers.target.wants/nightshelf@shop.timer"
systemd-analyze verify --root="$root" nightshelf@shop.timer nightshelf@shop.service nightshelf-backfill@shop.timer \
    >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
rm -r "$root/srv/shop.db"* "$root/etc/nightshelf/shop.conf" "$root/nightshelf.deb"
inside dpkg --purge nightshelf >"$out/log" 2>&1
find "$root" -xdev \( -path "$root/var/cache/*" -o -path "$root/var/lib/dpkg/*" -o -path "$root/var/log/*" \) -prune -o -print |
    sort >"$out/after"
diff "$out/before" "$out/after" >&2 || { echo "purge leaves these" >&2; exit 1; }
if command -v lintian >/dev/null; then
    lintian --fail-on error,warning "$deb" >&2
else
    echo "skipped: lintian is not installed" >&2
fi

echo "== the wheel" >&2
again
cp "$wheel" "$root/"
began=$(date +%s)
inside python3 -m venv /shop >"$out/log" 2>&1
inside /shop/bin/pip install --no-index --quiet "/$(basename "$wheel")" >"$out/log" 2>&1
inside /shop/bin/nightshelf demo --db /srv/shop.db >"$out/log" 2>&1
echo "three commands: $(($(date +%s) - began)) seconds" >&2
says 'recommendations' "$out/log"

echo "== Kubernetes" >&2
"$out/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate
"$out/venv/bin/kubernetes-validate" --strict -k 1.33 jobs/kubernetes/*.yaml >&2

echo "== Datasette" >&2
"$out/venv/bin/pip" install --quiet --disable-pip-version-check 'datasette>=0.65,<1'
"$out/nightshelf" demo --db "$root/shop.db" >"$out/log" 2>&1
"$out/nightshelf" run --force --db "$root/shop.db" >"$out/log" 2>&1
"$out/venv/bin/python" packaging/datasette/try.py "$root/shop.db" >&2

rm -rf "$root"
echo "all of them serve a newcomer" >&2
