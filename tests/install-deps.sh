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
mariadb-server mariadb-backup redis-server"
bench="restic borgbackup time postgresql-15 pgbackrest rsync python3 curl iproute2"

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
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
# Servers are started by the tests themselves: what the packages' scripts ask before they
# start one says no (policy-rc.d(8)), unless the system has its own say.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
    --no-install-recommends $missing
