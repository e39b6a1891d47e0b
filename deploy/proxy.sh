#!/bin/sh
# nginx wants a host's name in its configuration, and users with passwords in a file of its own form.
set -eu
: "${HPO_DASHBOARD_URL:?}" "${DASHBOARD_PASSWORD_FILE:?}"
name=${HPO_DASHBOARD_URL#*://}
name=${name%%/*}
name=${name%%:*}
umask 077
password=$(cat "$DASHBOARD_PASSWORD_FILE")
: "${password:?}"
printf 'hpo:{PLAIN}%s\n' "$password" > /tmp/users
sed "s/DASHBOARD_HOST/$name/" /etc/nginx/hpo.conf > /tmp/nginx.conf
exec nginx -e stderr -c /tmp/nginx.conf -g 'daemon off;'
