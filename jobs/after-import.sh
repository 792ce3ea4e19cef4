#!/bin/sh
# Ratings that are delivered as a file: import them, then bring the recommendations up to date: those of
# the readers concerned, or everybody's if so much was delivered that a full night is due.
#
#   after-import.sh shop.db delivery.csv [settings.toml]
#
# Ends with nightshelf's own exit code, so that cron or systemd see what happened. Both steps may be
# repeated: an import that was cut off goes on where it stopped, and a file imported twice leaves the
# same rows as once.

set -u

tries=5   # if the database is locked (exit code 75)
pause=300 # seconds between two tries

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 DATABASE FILE [SETTINGS]" >&2
    exit 2
fi
db=$1
file=$2
if [ $# -eq 3 ]; then
    NIGHTSHELF_CONFIG=$3
    export NIGHTSHELF_CONFIG
fi

# Runs a command, and again later for as long as somebody else is at work on the database.
patiently() {
    left=$tries
    while :; do
        code=0
        "$@" || code=$?
        left=$((left - 1))
        if [ "$code" -ne 75 ] || [ "$left" -le 0 ]; then
            return "$code"
        fi
        sleep "$pause"
    done
}

patiently nightshelf import "$file" --db "$db"
code=$?
case $code in
0) ;;
65) echo "$file holds nothing to use; the lists stay as they are" >&2 ;;
75) echo "$db stayed locked; the same command later goes on from here" >&2 ;;
esac
[ "$code" -eq 0 ] || exit "$code"

patiently nightshelf backfill --full-if-needed --db "$db"
code=$?
if [ "$code" -ne 0 ]; then
    echo "the ratings are imported, but not all lists are new; the same command goes on" >&2
fi
exit "$code"
