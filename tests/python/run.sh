#!/usr/bin/env bash
# The suite of the Python client: a virtual environment outside the clone, our programs built, pytest-free tests run.
# Ends with a line "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly CACHE="${QUICPROQUO_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/quicproquo-ci}"
# The environment is made anew when the versions change.
VENV="$CACHE/python-$(sha256sum tests/python/requirements.txt | cut -c1-12)"
readonly VENV
if ! "$VENV/bin/python" -c 'import aioquic, capnp' 2>/dev/null; then
  rm -rf "$VENV"
  mkdir -p "$CACHE"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement tests/python/requirements.txt
fi

cargo build --quiet --package qpq-homeserver --package qpq-client-cli --package qpq-tests --bins
target="${CARGO_TARGET_DIR:-target}/debug"
exec "$VENV/bin/python" tests/python/suite.py "$target"
