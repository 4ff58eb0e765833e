#!/usr/bin/env bash
# Runs every fuzz target for so many seconds (argument 1), from what earlier runs found (argument 2). Needs a nightly compiler
# and cargo-fuzz on the path. A finding stays in tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
seconds="$1" corpus="$(mkdir -p "$2" && realpath "$2")"
passed=0 failed=0
for target in $(sed -nE 's/^name = "([a-z]+)"$/\1/p' Cargo.toml); do
  mkdir -p "$corpus/$target"
  if RUSTUP_TOOLCHAIN=nightly cargo fuzz run --fuzz-dir . "$target" "$corpus/$target" -- -max_total_time="$seconds" \
    -max_len=65536 -rss_limit_mb=2048 -print_final_stats=1 >"$corpus/$target.log" 2>&1; then
    passed=$((passed + 1))
    echo "$target: $(sed -nE 's/stat::number_of_executed_units: *//p' "$corpus/$target.log") inputs in $seconds s, nothing found"
  else
    failed=$((failed + 1))
    tail -40 "$corpus/$target.log"
    echo "$target: FAILED"
  fi
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
