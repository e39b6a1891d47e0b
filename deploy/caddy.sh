#!/bin/sh
# Caddy wants a host's name and the hash of a password; they are made here, so that .env holds only what people type.
set -eu
: "${DASHBOARD_PASSWORD:?}" "${HPO_DASHBOARD_URL:?}"
name=${HPO_DASHBOARD_URL#*://}
name=${name%%/*}
DASHBOARD_HOST=${name%%:*}
export DASHBOARD_HOST
DASHBOARD_PASSWORD_HASH=$(printf '%s\n' "$DASHBOARD_PASSWORD" | caddy hash-password)
export DASHBOARD_PASSWORD_HASH
unset DASHBOARD_PASSWORD
exec caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
