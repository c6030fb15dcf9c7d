#!/usr/bin/env bash
# Makes the figures of docs/lesson.md and docs/lesson.zh.md: every demonstration on the digits, in both languages.
#
#   docs/lesson.sh [PROGRAM]     PROGRAM: bngpu, by default target/release/bngpu
set -euo pipefail
cd "$(dirname "$0")/.."
program="${1:-target/release/bngpu}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
for lang in en zh; do
    "$program" demo all --lang "$lang" --output "$folder/$lang"
    for figure in "$folder/$lang"/*.svg; do
        name="$(basename "$figure" .svg)"
        [ "$lang" = en ] && to="docs/lesson/$name.svg" || to="docs/lesson/$name.$lang.svg"
        cp "$figure" "$to"
    done
done
