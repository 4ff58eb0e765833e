#!/usr/bin/env bash
# The console in Debian's Chromium, as CI runs it. Arguments: the directory with qpq-server and qpq, and one for what may be
# kept between runs. Screenshots land in target/screenshots, which git ignores. The walk bounds its own time; the outer bound
# is for a node that hangs.
set -euo pipefail
if [[ $# -ne 2 ]]; then
  echo "usage: $0 PROGRAMS CACHE" >&2
  exit 2
fi
programs="$(realpath "$1")" cache="$(mkdir -p "$2" && realpath "$2")"
cd "$(dirname "$0")"
screenshots="${QUICPROQUO_SCREENSHOTS:-$PWD/../../target/screenshots}"
for program in qpq-server qpq; do
  if [[ ! -x "$programs/$program" ]]; then
    echo "no program $programs/$program: build the workspace first" >&2
    exit 2
  fi
done
QUICPROQUO_CHROMIUM="$(command -v chromium)" || { echo "no chromium: apt-get install chromium" >&2; exit 2; }
export QUICPROQUO_CHROMIUM
modules="$cache/modules-$(sha256sum package-lock.json | cut -c1-12)"
if [[ ! -e "$modules/complete" ]]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp package.json package-lock.json "$modules/"
  (cd "$modules" && npm ci --no-audit --no-fund --loglevel=error)
  touch "$modules/complete"
fi
# Modules are looked for beside the importing file: the suite runs from a copy that has them.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp ./*.mjs "$work/"
ln -s "$modules/node_modules" "$work/node_modules"
mkdir -p "$screenshots"
# What an earlier walk saw is not what this one saw.
find "$screenshots" -maxdepth 1 -name '*.png' -delete
timeout --kill-after=5 310 node "$work/walk.mjs" "$programs" "$work/domains" "$screenshots"
