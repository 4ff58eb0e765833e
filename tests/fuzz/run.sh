#!/usr/bin/env bash
# Fuzzes every target, two at a time: `run.sh SECONDS CORPUS`, each for so many seconds, from the seeds and from what earlier
# runs left in the corpus. `run.sh seeds` writes the seeds that are committed. Needs a nightly compiler and cargo-fuzz on the
# path. A finding stays in tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTUP_TOOLCHAIN=nightly
mapfile -t targets < <(sed -nE '/^\[\[bin\]\]/{n;s/^name = "([a-z_]+)"$/\1/p}' Cargo.toml)

started=$SECONDS
cargo fuzz build --fuzz-dir . >&2
echo "${#targets[@]} targets, built in $((SECONDS - started)) s"

program() { echo "${CARGO_TARGET_DIR:-target}/$(rustc -vV | sed -n 's/^host: //p')/release/$1"; }

if [[ "$1" == seeds ]]; then
  for target in "${targets[@]}"; do
    rm -rf "seeds/$target"
    QPQ_FUZZ_SEEDS="seeds/$target" "$(program "$target")" -runs=0 "seeds/$target" 2>/dev/null
    echo "$target: $(ls "seeds/$target" | wc -l) seeds, $(du -sb "seeds/$target" | cut -f1) bytes"
  done
  exit
fi

seconds="$1" corpus="$(mkdir -p "$2" && realpath "$2")"
fresh="$(mktemp -d)"
trap 'rm -rf "$fresh"' EXIT

# Seeds that age are written anew at each start, and read beside those that are committed.
fuzz() {
  local target="$1"
  mkdir -p "$corpus/$target" "$fresh/$target" "artifacts/$target"
  QPQ_FUZZ_SEEDS="$fresh/$target" "$(program "$target")" "$corpus/$target" "seeds/$target" "$fresh/$target" \
    -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 >"$corpus/$target.log" 2>&1
}

passed=0 failed=0
# Says how the target ended that was begun as process $1.
ended() {
  if wait "$1"; then
    passed=$((passed + 1))
    echo "$2: $(sed -nE 's/stat::number_of_executed_units: *//p' "$corpus/$2.log") inputs in $seconds s, nothing found"
  else
    failed=$((failed + 1))
    tail -40 "$corpus/$2.log"
    echo "$2: FAILED"
  fi
}

for ((i = 0; i < ${#targets[@]}; i += 2)); do
  pair=("${targets[@]:i:2}") started_as=()
  for target in "${pair[@]}"; do fuzz "$target" & started_as+=($!); done
  for n in "${!pair[@]}"; do ended "${started_as[n]}" "${pair[n]}"; done
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
