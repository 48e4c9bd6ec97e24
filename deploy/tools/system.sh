#!/bin/sh
# Installs the real servers that tests speak to, what scrapes them, and what checks the
# models, where apt-get is there.
set -eu
packages=""
command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
command -v kamailio >/dev/null 2>&1 || [ -x /usr/sbin/kamailio ] || packages="$packages kamailio kamailio-presence-modules kamailio-xml-modules kamailio-tls-modules"
command -v prometheus >/dev/null 2>&1 || packages="$packages prometheus"
command -v spin >/dev/null 2>&1 || packages="$packages spin"
command -v gcc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$packages (Debian package names). Without them the tests against real servers and the models do not run; with CI set they fail." >&2
	exit 0
fi
as=""
[ "$(id -u)" = 0 ] || as="sudo"
export DEBIAN_FRONTEND=noninteractive
$as apt-get update -qq
# shellcheck disable=SC2086
$as apt-get install -y -qq --no-install-recommends $packages
