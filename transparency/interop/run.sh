#!/usr/bin/env bash
# The log of a running server before verifiers that others wrote. Needs Go with golang.org/x/mod as Debian packages it; the
# Python ones go into a virtual environment outside the clone. Ends with a line "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly CACHE="${QUICPROQUO_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/quicproquo-ci}"
VENV="$CACHE/interop-$(sha256sum transparency/interop/requirements.txt | cut -c1-12)"
readonly VENV
if ! "$VENV/bin/python" -c 'import aics_tlog, aics_witness' 2>/dev/null; then
  rm -rf "$VENV"
  mkdir -p "$CACHE"
  python3 -m venv "$VENV"
  # They say that they want Python 3.12, and run with Debian's 3.11.
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --ignore-requires-python \
    --requirement transparency/interop/requirements.txt
fi

# Debian's Go packages lie in a GOPATH.
verifier="$(mktemp -d)/verify"
GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$CACHE/go" GOFLAGS= go build -o "$verifier" transparency/interop/verify.go

status=0
"$VENV/bin/python" transparency/interop/suite.py "$1" "$verifier" || status=$?
rm -r "$(dirname "$verifier")"
exit "$status"
