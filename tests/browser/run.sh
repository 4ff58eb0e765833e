#!/usr/bin/env bash
# The console in Debian's Chromium, as CI runs it. Arguments: the directory with qpq-server and qpq, and one for what may be
# kept between runs. Screenshots land in target/screenshots, which git ignores.
set -euo pipefail
programs="$(realpath "$1")" cache="$(mkdir -p "$2" && realpath "$2")"
cd "$(dirname "$0")"
modules="$cache/modules-$(sha256sum package-lock.json | cut -c1-12)"
if [[ ! -d "$modules/node_modules/playwright-core" ]]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp package.json package-lock.json "$modules/"
  (cd "$modules" && npm ci --no-audit --no-fund --loglevel=error)
fi
# Modules are looked for beside the importing file: the suite runs from a copy that has them.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp ./*.mjs "$work/"
ln -s "$modules/node_modules" "$work/node_modules"
node "$work/walk.mjs" "$programs" "$work/domains" "${QUICPROQUO_SCREENSHOTS:-$PWD/../../target/screenshots}"
