#!/usr/bin/env bash
# Executes the runbooks: every fence marked `scrut` is typed as it stands and its output compared. Each runbook gets an empty
# directory and, as root, a network and mounts of its own, so the default ports are free and a full disk is a small one.
# Arguments: the directory with qpq-server and qpq, the program scrut, and perhaps the runbooks to run.
set -euo pipefail
programs="$(realpath "$1")" scrut="$(realpath "$2")"
shift 2
here="$(cd "$(dirname "$0")" && pwd)"
[[ $# -gt 0 ]] || set -- "$here"/[a-z]*.md
passed=0 failed=0
for runbook in "$@"; do
  work="$(mktemp -d)"
  # What the texts call by name: programs on the path, data directories below the current one.
  cat >"$work/start" <<EOF
set -e
if [ "\$(id -u)" = 0 ]; then ip link set lo up; fi
cd "$work"
export PATH="$programs:\$PATH" HOME="$work" TERM=dumb
exec "$scrut" test --work-directory "$work" "$(realpath "$runbook")"
EOF
  if [[ $EUID -eq 0 ]]; then isolated=(unshare --net --mount --pid --fork --kill-child --mount-proc); else isolated=(); fi
  started=$SECONDS
  if output="$("${isolated[@]}" bash "$work/start" 2>&1)"; then verdict=ok; else verdict=FAILED; fi
  succeeded="$(sed -nE 's/.*: ([0-9]+) succeeded, ([0-9]+) failed.*/\1/p' <<<"$output")"
  [[ $verdict == ok ]] || echo "$output"
  echo "$(basename "$runbook"): $verdict, ${succeeded:-0} commands, $((SECONDS - started)) s"
  passed=$((passed + ${succeeded:-0}))
  [[ $verdict == ok && ${succeeded:-0} -gt 0 ]] || failed=$((failed + 1))
  rm -rf "$work"
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
