#!/bin/sh
# Makes a container base image without any registry: Debian by debootstrap, the Node binary of the npm package
# "node", and libatomic1, which that binary needs. Usage: deploy/base-image.sh [IMAGE]   (default podwire-base)
set -eu
image=${1:-podwire-base}
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
node=$root/node_modules/node/bin/node

[ "$(id -u)" = 0 ] || { echo "base-image.sh: debootstrap needs root; run it with sudo" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "base-image.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
[ -x "$node" ] || node "$root/scripts/run.mjs" setup

# The mirror this machine uses, if it is a Debian that says so; else Debian's own.
mirror=$(sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*debian\/\{0,1\}\) .*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep 'debian/*$' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "base-image.sh: debootstrap (about a minute) …" >&2
debootstrap --variant=minbase --include=libatomic1,iproute2 bookworm "$work/root" "$mirror" >"$work/log" 2>&1 || {
  tail -n 20 "$work/log" >&2
  exit 1
}
rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists" "$work/root/usr/share/doc" "$work/root/usr/share/locale"
install -D -m 755 "$node" "$work/root/usr/local/bin/node"
# Device nodes are the container engine's to make.
tar -C "$work/root" --exclude=./dev/* -c . | docker import --change 'CMD ["/bin/sh"]' - "$image" >/dev/null
echo "base-image.sh: $image is ready; build with: docker-compose -f deploy/compose.yaml build --build-arg BASE=$image" >&2
