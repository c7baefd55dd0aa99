#!/bin/sh
# Installs the Debian packages that are missing: install-deps.sh build|test|bench...
# Asks dpkg first, so that nothing is fetched when all is there. On other
# systems it names what is needed and fails unless the programs are found.
set -eu

build="gcc make pkg-config libarchive-dev libzstd-dev libsodium-dev
libcurl4-openssl-dev libssl-dev libsqlite3-dev libyaml-dev libjansson-dev
libexpat1-dev libpq-dev"
tests="libcmocka-dev ceph-mon ceph-osd radosgw ceph-common rsync acl attr strace
mandoc python3 python3-nacl python3-cryptography python3-zstandard clang-format
cppcheck curl iproute2 e2fsprogs util-linux procps time libxml2-utils postgresql-15
redis-server"
bench="restic borgbackup time postgresql-15 rsync python3 curl iproute2"

wanted=
for set in "$@"; do
    case $set in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $tests" ;;
    bench) wanted="$wanted $bench" ;;
    *)
        echo "install-deps.sh: build, test or bench, not $set" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "drtool: this system has no apt; install what these Debian packages hold:" >&2
    echo $wanted | fold -s -w 76 | sed 's/^/    /' >&2
    exit 1
fi

missing=
for package in $wanted; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "drtool: run this as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi
echo "drtool: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# Servers are started by the tests themselves, not by the packages' scripts.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
    --no-install-recommends $missing
