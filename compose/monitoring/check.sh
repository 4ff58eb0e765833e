#!/usr/bin/env bash
# Checks what Prometheus and Grafana are given: syntax of rules and configuration, unit tests of the alerts, the dashboard's
# JSON. Wants `promtool` (Debian's package prometheus).
set -euo pipefail
cd "$(dirname "$0")"
passed=0 failed=0
check() {
  local what="$1"
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $what"
  else
    failed=$((failed + 1))
    echo "WRONG: $what" >&2
  fi
}
check "the dashboard is JSON" python3 -m json.tool grafana-dashboard.json /dev/null
if command -v promtool >/dev/null; then
  check "the alert rules" promtool check rules --lint=all --lint-fatal alerts.yml
  check "the example of a scrape" promtool check config --lint=all --lint-fatal prometheus.yml
  check "the tests of the alerts" promtool test rules alerts.test.yml
else
  echo "NOTE: no promtool here, so neither rules nor their tests are looked at"
fi
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
