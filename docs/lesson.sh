#!/usr/bin/env bash
# Makes the figures of docs/lesson.md and docs/lesson.zh.md: every demonstration on the digits, in both languages.
#
#   docs/lesson.sh [PROGRAM]     PROGRAM: bngpu, by default target/release/bngpu
set -euo pipefail
cd "$(dirname "$0")/.."
program="${1:-target/release/bngpu}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"$program" demo all --output "$folder"
mkdir -p docs/lesson
cp "$folder"/*.svg docs/lesson/
