#!/usr/bin/env bash
# Packaging, as CI runs it: the systemd unit's exposure, the image, both composes with their flags, a message that crosses
# the trial. Needs root and Debian's podman; where that can't be had, the compose files are only parsed, visibly.
# Arguments: the directory with qpq-server and qpq, and a directory for what may be kept between runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs="$(realpath "$1")" cache="$(mkdir -p "$2" && realpath "$2")"
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }
wrong() { failed=$((failed + 1)); echo "WRONG: $*" >&2; }
finish() { echo "$passed passed, $failed failed"; [[ $failed -eq 0 ]]; }

# --- the systemd unit
if command -v systemd-analyze >/dev/null; then
  exposure="$(systemd-analyze security --offline=true compose/systemd/qpq-server.service | sed -nE 's/.*exposure level.*: ([0-9.]+) .*/\1/p')"
  if awk -v found="$exposure" 'BEGIN { exit !(found != "" && found <= 1.2) }'; then
    ok "systemd-analyze says $exposure"
  else
    wrong "systemd-analyze says '$exposure', more than 1.2"
  fi
  # The program it starts is not installed here, which is the one thing that may be said about it.
  complaints="$(systemd-analyze verify compose/systemd/qpq-server.service 2>&1 | grep 'qpq-server.service' | grep -v 'is not executable' || true)"
  if [[ -z "$complaints" ]]; then ok "systemd-analyze verify is content"; else wrong "$complaints"; fi
else
  echo "NOTE: no systemd-analyze here, the unit is not looked at"
fi

# --- the composes, at least as texts
tools="$cache/podman-compose-1.5.0"
if [[ ! -x "$tools/bin/podman-compose" ]]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check podman-compose==1.5.0
fi
"$tools/bin/python" - <<'PY'
import pathlib, sys, yaml
for name in ("one-domain", "two-domains"):
    services = yaml.safe_load(pathlib.Path(f"compose/{name}/compose.yaml").read_text())["services"]
    for service, body in services.items():
        hard = (
            body.get("user") == "10001:10001" and body.get("read_only") is True and body.get("cap_drop") == ["ALL"]
            and body.get("security_opt") == ["no-new-privileges:true"] and body.get("stop_grace_period") == "60s"
            and all("noexec" in mount for mount in body.get("tmpfs") or [""])
        )
        health = body.get("healthcheck", {})
        # What serves is asked by its own program; what runs once is not asked.
        hard = hard and (health.get("disable") or health.get("test", ["", ""])[1] == "qpq-server")
        if not hard:
            sys.exit(f"compose/{name}: the service {service} is not hardened")
PY
ok "both composes parse, and every service is hardened"
if [[ $EUID -ne 0 ]] || ! command -v podman >/dev/null || ! command -v runc >/dev/null; then
  echo "NOTE: no podman here (or not root): the composes were parsed, not run"
  finish
  exit
fi

# --- podman as a closed machine has it: runc, vfs, few processes
work="$(mktemp -d)"
cat >"$work/storage.conf" <<EOF
[storage]
driver = "vfs"
graphroot = "$work/storage"
runroot = "$work/run"
EOF
cat >"$work/containers.conf" <<'EOF'
[engine]
runtime = "runc"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
EOF
export CONTAINERS_STORAGE_CONF="$work/storage.conf" CONTAINERS_CONF="$work/containers.conf"
compose() { "$tools/bin/podman-compose" --project-name "$1" --file "$2" "${@:3}"; }
clean_up() {
  compose qpqone compose/one-domain/compose.yaml down -v -t 5 >/dev/null 2>&1 || true
  compose qpqtwo compose/two-domains/compose.yaml down -v -t 5 >/dev/null 2>&1 || true
  rm -f compose/one-domain/.env compose/one-domain/database-key
  podman system reset --force >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

base="$cache/bookworm-base.tar"
if [[ ! -s "$base" ]]; then
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/tree" http://deb.debian.org/debian >"$work/debootstrap" ||
    { tail -5 "$work/debootstrap"; exit 1; }
  rm -rf "$work"/tree/var/cache/apt/* "$work"/tree/var/lib/apt/lists/* "$work"/tree/usr/share/{doc,man,locale}/*
  tar -C "$work/tree" -cf "$base.part" . && mv "$base.part" "$base"
  rm -rf "$work/tree"
fi
podman import --quiet "$base" localhost/bookworm-base >/dev/null
mkdir -p "$work/programs/binaries"
for program in qpq-server qpq; do
  cp "$programs/$program" "$work/programs/binaries/"
  strip --strip-debug "$work/programs/binaries/$program"
done
podman build --quiet --file compose/Dockerfile --build-arg BASE=localhost/bookworm-base \
  --build-context binaries="$work/programs" --tag localhost/quicproquo . >/dev/null
ok "podman builds the image"

# healthy CONTAINER: its own health check, asked until it says yes.
healthy() {
  local deadline=$((SECONDS + 60))
  until podman healthcheck run "$1" >/dev/null 2>&1; do
    if [[ $SECONDS -ge $deadline ]]; then
      podman logs "$1" 2>&1 | tail -20
      return 1
    fi
    sleep 0.5
  done
}

# --- one domain, production mode
head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' >compose/one-domain/database-key
chown 10001:10001 compose/one-domain/database-key
chmod 0400 compose/one-domain/database-key
printf 'DOMAIN=one.test\nADDRESS=127.0.0.1\n' >compose/one-domain/.env
compose qpqone compose/one-domain/compose.yaml up --detach --no-build >"$work/one" 2>&1 || { cat "$work/one"; exit 1; }
if healthy qpqone_quicproquo_1; then ok "one domain is healthy in production mode"; else wrong "one domain is not healthy"; fi
if podman exec qpqone_quicproquo_1 entrypoint info | grep -q 'one\.test'; then ok "its command line answers"; else wrong "info"; fi
if podman exec qpqone_quicproquo_1 /bin/sh -c 'touch /etc/x' 2>/dev/null; then wrong "the root can be written"; else ok "the root is read-only"; fi
podman stop --time 60 qpqone_quicproquo_1 >/dev/null
status="$(podman inspect --format '{{.State.ExitCode}}' qpqone_quicproquo_1)"
if [[ $status == 0 ]]; then ok "it stops with status 0"; else wrong "it stopped with status $status"; fi
podman start qpqone_quicproquo_1 >/dev/null
if healthy qpqone_quicproquo_1; then ok "it starts again on its data"; else wrong "it does not start again"; fi
compose qpqone compose/one-domain/compose.yaml down -v -t 60 >/dev/null 2>&1

# --- two domains that peer themselves; a message crosses
compose qpqtwo compose/two-domains/compose.yaml up --detach --no-build >"$work/two" 2>&1 || { cat "$work/two"; exit 1; }
for domain in alpha beta; do
  if healthy "qpqtwo_${domain}_1"; then ok "$domain is healthy"; else wrong "$domain is not healthy"; fi
done
if [[ "$(podman wait qpqtwo_peering_1)" == 0 ]]; then
  ok "they peered by themselves"
else
  podman logs qpqtwo_peering_1
  wrong "the peering failed"
fi
admin() { podman exec "qpqtwo_$1_1" entrypoint --json "${@:2}"; }
field() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p"; }
person() { "$programs/qpq" --home "$work/$1" --passphrase-file "$work/passphrase" "${@:2}"; }
echo "a passphrase for this run" >"$work/passphrase"
echo "a password for this run" >"$work/password"
chmod 0600 "$work/passphrase" "$work/password"
for pair in alice:alpha:10.89.77.2 bob:beta:10.89.77.3; do
  IFS=: read -r name domain address <<<"$pair"
  person "$name" register "$name@$domain.test" --server "$address:7443" --pin "$(admin "$domain" info | field client_pin)" \
    --password-file "$work/password" --registration-token "$(admin "$domain" token create | field token)" >/dev/null
done
person alice send bob@beta.test "across two containers" >/dev/null
if person bob recv --wait 30 | grep -q "across two containers"; then
  ok "a message crosses the trial"
else
  wrong "no message arrived"
fi
compose qpqtwo compose/two-domains/compose.yaml down -v -t 60 >/dev/null 2>&1
finish
