#!/bin/sh
# Caddy wants the hash of a password; it is made here, so that .env holds only what people type.
set -eu
: "${DASHBOARD_PASSWORD:?}"
DASHBOARD_PASSWORD_HASH=$(printf '%s\n' "$DASHBOARD_PASSWORD" | caddy hash-password)
export DASHBOARD_PASSWORD_HASH
unset DASHBOARD_PASSWORD
exec caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
