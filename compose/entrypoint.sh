#!/bin/sh
# Makes the domain at the first start, then becomes the homeserver. With arguments it runs qpq-server with them:
# `docker compose exec quicproquo entrypoint user list`.
set -eu
data=/var/lib/quicproquo
if [ $# -gt 0 ]; then
  exec qpq-server --data-dir "$data" "$@"
fi
if [ ! -e "$data/quicproquo.toml" ]; then
  qpq-server --data-dir "$data" init --domain "${QPQ_DOMAIN:?set QPQ_DOMAIN to the name of your domain}"
fi
exec qpq-server --data-dir "$data" serve
