#!/bin/bash
# Ceph RADOS Gateway 16.2 (Debian 12): 1 mon + 1 osd + one radosgw per "region", no systemd, no mgr, loopback only.
#   ceph-rgw.sh start DIR PORT [REGION...]   default region: r1. Region i listens on PORT+i-1, with its own realm,
#                                            pools, user, keys and bucket (separate buckets and credentials).
#   ceph-rgw.sh stop  DIR                    stops it; DIR is kept, a later start on the same DIR resumes it.
#   ceph-rgw.sh kill9 DIR REGION|osd|mon     crash test: SIGKILL one daemon
#   CACHE=0 at the first start: no metadata cache. Small requests take 3 to 4 times as long, but a gateway that was
#           killed is back in 0.4 s (with the cache its restart waits 7 s for the dead one's watches to time out).
#   STORE=bluestore keeps object data on disk through kills; the default memstore keeps it in RAM and writes it to
#           DIR on a clean stop only, which is quicker.
# The Debian packages it needs are in PACKAGES; `ceph-rgw.sh packages` prints them and nothing is installed here.
PACKAGES="ceph-mon ceph-osd radosgw ceph-common"
set -euo pipefail
# in some containers and VMs pid 1 reaps late: a dead daemon stays a zombie for seconds and "kill -0" still says yes
live() { local s; s=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$s" ] && [ "${s%% *}" != Z ]; }
cmd=${1:-help}
[ "$cmd" != packages ] || { echo "$PACKAGES"; exit 0; }
[ $# -ge 2 ] || { sed -n 2,11p "$0"; exit 2; }
DIR=$(mkdir -p "$2" && cd "$2" && pwd)
STORE=${STORE:-memstore}
alive() { [ -s "$1" ] && live "$(cat "$1")"; }
C() { timeout 60 ceph -c "$DIR/ceph.conf" "$@" 2>>"$DIR/log/ceph.cli"; }
A() { timeout 60 radosgw-admin -c "$DIR/ceph.conf" "$@" 2>>"$DIR/log/admin.cli"; }
stop1() { # pidfile [signal]
  alive "$1" || { rm -f "$1"; return 0; }
  local p; p=$(cat "$1"); kill -"${2:-TERM}" "$p" 2>/dev/null || true
  for _ in $(seq 200); do live "$p" || break; sleep .05; done
  kill -9 "$p" 2>/dev/null || true; rm -f "$1"; }
case $cmd in
stop) # a radosgw stopped by KILL leaves watches behind that slow the next start; the mon syncs each write, KILL is fine
  for f in "$DIR"/run/rgw.*.pid; do [ -e "$f" ] && alive "$f" && kill "$(cat "$f")"; done
  for f in "$DIR"/run/rgw.*.pid; do [ -e "$f" ] && stop1 "$f" 0; done # 0: a second TERM would cut the shutdown short
  stop1 "$DIR/run/osd.pid"; stop1 "$DIR/run/mon.pid" KILL; exit 0;;
kill9) case $3 in osd|mon) f=$DIR/run/$3.pid;; *) f=$DIR/run/rgw.$3.pid;; esac; kill -9 "$(cat "$f")"; rm -f "$f"; exit 0;;
start) ;;
*) sed -n 2,11p "$0"; exit 2;;
esac
PORT=$3; shift 3; [ $# -gt 0 ] || set -- r1
REGIONS=("$@")
for program in ceph-mon ceph-osd radosgw radosgw-admin monmaptool ceph curl; do
  command -v "$program" >/dev/null || { echo "$program is missing; it needs: $PACKAGES curl" >&2; exit 1; }
done
mkdir -p "$DIR"/{log,run,mon,osd}
MONPORT=$((PORT + 1000))
fresh=; [ -e "$DIR/made" ] || fresh=1
if [ $fresh ]; then
  FSID=$(cat /proc/sys/kernel/random/uuid)
  cat >"$DIR/ceph.conf" <<CONF
[global]
fsid = $FSID
mon_host = v2:127.0.0.1:$MONPORT
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
# radosgw defaults to "secure", which auth none cannot do: it would hang with "get_initial_auth_request returned -13"
ms_mon_client_mode = crc
ms_mon_service_mode = crc
ms_mon_cluster_mode = crc
run_dir = $DIR/run
admin_socket = $DIR/run/\$name.\$pid.asok
log_file = $DIR/log/\$name.log
log_to_stderr = false
err_to_stderr = true
debug_ms = 0
ms_bind_port_min = $((PORT + 1100))
ms_bind_port_max = $((PORT + 1200))
# one replica, one PG a pool, quick map changes
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_rados_pool_pg_num_min = 1
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[mon]
mon_data = $DIR/mon
mon_cluster_log_file = $DIR/log/cluster.log
[osd]
osd_data = $DIR/osd
osd_objectstore = $STORE
bluestore_block_size = 21474836480
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
osd_memory_target = 939524096
memstore_device_bytes = 8589934592
# the default fast shutdown skips the umount that writes a memstore to disk
osd_fast_shutdown = $([ "$STORE" = memstore ] && echo false || echo true)
osd_client_watch_timeout = 10
osd_max_object_name_len = 1024
[client]
rgw_data_log_num_shards = 1
rgw_md_log_max_shards = 1
rgw_gc_max_objs = 2
rgw_lc_max_objs = 2
rgw_num_control_oids = 1
rgw_override_bucket_index_max_shards = 1
rgw_reshard_num_logs = 1
rgw_thread_pool_size = 64
# else a start after a crash waits 10 s a time (27 s in all) for the dead gateway's watches
client_notify_timeout = 1
rgw_cache_enabled = $([ "${CACHE:-1}" = 0 ] && echo false || echo true)
rgw_enable_usage_log = false
rgw_dns_name = s3.localhost
# server-side encryption over plain http, for tests only
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = testkey-1=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=
CONF
fi
# daemons: -f keeps them in the foreground, so setsid + & gives a pid that is ours
spawn() { local pf=$1; shift; setsid "$@" </dev/null >>"$DIR/log/out" 2>&1 & echo $! >"$pf"; }
if [ $fresh ]; then
  monmaptool --create --fsid "$FSID" --addv a "[v2:127.0.0.1:$MONPORT]" "$DIR/monmap" >/dev/null
  ceph-mon -c "$DIR/ceph.conf" -i a --mkfs --monmap "$DIR/monmap" >>"$DIR/log/out" 2>&1
fi
alive "$DIR/run/mon.pid" || spawn "$DIR/run/mon.pid" ceph-mon -f -c "$DIR/ceph.conf" -i a
if [ $fresh ]; then
  OSDUUID=$(cat /proc/sys/kernel/random/uuid)
  C osd new "$OSDUUID" >/dev/null
  ceph-osd -c "$DIR/ceph.conf" -i 0 --mkfs --osd-uuid "$OSDUUID" >>"$DIR/log/out" 2>&1
fi
# after a crash the mon still says "up" of the dead osd: clients would wait for it
[ $fresh ] || alive "$DIR/run/osd.pid" || C osd down 0 >/dev/null
alive "$DIR/run/osd.pid" || spawn "$DIR/run/osd.pid" ceph-osd -f -c "$DIR/ceph.conf" -i 0
for _ in $(seq 300); do C osd stat | grep -q '1 up' && break; sleep .1; done
n=0
for r in "${REGIONS[@]}"; do
  port=$((PORT + n)); n=$((n + 1))
  opt=(--rgw-realm="$r" --rgw-zonegroup="$r" --rgw-zone="$r")
  if [ ! -e "$DIR/region.$r" ]; then
    A realm create --rgw-realm="$r" >/dev/null
    A zonegroup create --rgw-realm="$r" --rgw-zonegroup="$r" --endpoints="http://127.0.0.1:$port" --master >/dev/null
    A zone create --rgw-realm="$r" --rgw-zonegroup="$r" --rgw-zone="$r" --endpoints="http://127.0.0.1:$port" --master >/dev/null
    for sc in STANDARD_IA GLACIER; do # without this an unknown x-amz-storage-class is 400 InvalidArgument
      A zonegroup placement add "${opt[@]}" --placement-id default-placement --storage-class $sc >/dev/null
      A zone placement add "${opt[@]}" --placement-id default-placement --storage-class $sc --data-pool "$r.rgw.buckets.data" >/dev/null
    done
    A period update --commit "${opt[@]}" >/dev/null
    A user create "${opt[@]}" --uid="user-$r" --display-name="user-$r" --access-key="AK$r" --secret-key="SK$r-0123456789" >/dev/null
  fi
  alive "$DIR/run/rgw.$r.pid" || spawn "$DIR/run/rgw.$r.pid" radosgw -f -c "$DIR/ceph.conf" -n client.rgw \
    "${opt[@]}" --log-file="$DIR/log/rgw.$r.log" --rgw-data="$DIR/run" --rgw-frontends="beast endpoint=127.0.0.1:$port tcp_nodelay=1"
done
n=0
for r in "${REGIONS[@]}"; do
  port=$((PORT + n)); n=$((n + 1))
  for _ in $(seq 600); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep .05; done
  if [ ! -e "$DIR/region.$r" ]; then
    code=$(curl -s -o "$DIR/log/mb" -w '%{http_code}' --aws-sigv4 "aws:amz:$r:s3" --user "AK$r:SK$r-0123456789" \
      -H "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" -X PUT "http://127.0.0.1:$port/bucket-$r")
    [ "$code" = 200 ] || { echo "bucket: HTTP $code"; cat "$DIR/log/mb"; exit 1; }
    touch "$DIR/region.$r"
  fi
  echo "endpoint=http://127.0.0.1:$port region=$r access_key=AK$r secret_key=SK$r-0123456789 bucket=bucket-$r"
done
touch "$DIR/made"
