# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# Sourced by the benchmarks: what is backed up, in $data. NAME_make puts it there,
# NAME_change makes the round's changes, NAME_again undoes them where the next round
# needs it.

### tree: system files, or those of BENCH_TREE.

tree_make() {
    local dir
    if [ -n "${BENCH_TREE:-}" ]; then
        cp -a "$BENCH_TREE/." "$data/"
        return
    fi
    for dir in /usr/share /usr/include /usr/lib/x86_64-linux-gnu; do
        [ -d "$dir" ] && mkdir -p "$data/${dir##*/}" && cp -a "$dir/." "$data/${dir##*/}/"
    done
}

# One file of a hundred gets some more bytes, in every round others.
tree_change() {
    local file
    find "$data" -type f -links 1 -size +0 | sort \
        | awk -v round="$1" 'NR % 100 == round % 100' \
        | while IFS= read -r file; do
            chmod u+w "$file" && head -c 200 /dev/urandom >>"$file"
        done
}

tree_again() { :; }

### postgres: a data folder and a plain dump, before and after updates.

pg_bin=/usr/lib/postgresql/15/bin
pg_scale=${BENCH_PG_SCALE:-75}

# As the user that a server demands to run as.
pg() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups \
            env HOME="$work/pg" PGHOST="$work/pg" PGUSER=postgres PGPORT=5432 "$@"
    else
        env HOME="$work/pg" PGHOST="$work/pg" PGUSER=postgres PGPORT=5432 "$@"
    fi
}

pg_start() {
    pg "$pg_bin/pg_ctl" -s -D "$work/pg/data" -l "$work/pg/log" -w start \
        -o "-c listen_addresses='' -c unix_socket_directories=$work/pg -c autovacuum=off \
            -c max_wal_size=64MB -c min_wal_size=32MB"
    pg_runs=1
}
pg_stop() {
    pg "$pg_bin/pg_ctl" -s -D "$work/pg/data" -m fast -w stop
    pg_runs=
}

# pgbench's tables with rows that compress as people's do: its own hold blanks.
pg_fill() {
    pg "$pg_bin/pgbench" -q -i -I dt -s "$pg_scale" bench
    pg psql -q bench <<SQL
insert into pgbench_branches (bid, bbalance) select b, 0 from generate_series(1, $pg_scale) b;
insert into pgbench_tellers (tid, bid, tbalance)
    select t, (t - 1) / 10 + 1, 0 from generate_series(1, $pg_scale * 10) t;
insert into pgbench_accounts (aid, bid, abalance, filler)
    select a, (a - 1) / 100000 + 1, 0, md5(a::text) || ' ' || left(md5((-a)::text), 20)
    from generate_series(1, $pg_scale * 100000) a;
SQL
    pg "$pg_bin/pgbench" -q -i -I vp -s "$pg_scale" bench
}

# pg_state NAME: the stopped server's folder and a dump of it.
pg_state() {
    pg "$pg_bin/pg_dump" -f "$work/pg/dump.sql" bench
    pg psql -q -c checkpoint postgres
    pg_stop
    mkdir "$work/pg.$1"
    cp -a "$work/pg/data" "$work/pg.$1/data"
    cp -a "$work/pg/dump.sql" "$work/pg.$1/dump.sql"
}

postgres_make() {
    chmod 711 "$work"
    mkdir "$work/pg"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$work/pg"
    pg "$pg_bin/initdb" -D "$work/pg/data" -A trust -N --no-instructions -E UTF8 \
        --locale=C.UTF-8 >"$work/log"
    pg_start
    pg "$pg_bin/createdb" bench
    pg_fill >"$work/log" 2>&1
    pg_state before
    pg_start
    pg "$pg_bin/pgbench" -n --random-seed=1 -c 2 -t $((pg_scale * 32)) bench >"$work/log" 2>&1
    pg_state after
    rm -r "$work/pg"
    cp -a "$work/pg.before/." "$data/"
    say "pages changed: $(pg_changed)"
}

# The share of the tables' and indexes' 8 KiB pages that are not as they were.
pg_changed() {
    (cd "$work/pg.before" && find data/base -type f) | while IFS= read -r file; do
        [ -e "$work/pg.after/$file" ] || continue
        cmp -l "$work/pg.before/$file" "$work/pg.after/$file" 2>/dev/null \
            | awk '{ page = int(($1 - 1) / 8192) } NR == 1 || page != last { n++; last = page }
                END { print n + 0 }'
    done | awk -v all="$(du -sb "$work/pg.before/data/base" | cut -f 1)" \
        '{ n += $1 } END { printf "%.1f %%\n", n * 8192 / all * 100 }'
}

# Only what differs is written, so that the rest keeps its inodes and times.
postgres_change() { rsync -a --delete --inplace "$work/pg.after/" "$data/"; }
postgres_again() { rsync -a --delete --inplace "$work/pg.before/" "$data/"; }

### random: one file that nothing compresses, with insertions and overwrites.

random_make() { head -c "${BENCH_RANDOM:-1073741824}" /dev/urandom >"$data/random"; }

# A hundred bytes put in near the middle, ten pieces of 4 KiB overwritten.
random_change() {
    python3 - "$data/random" "$1" <<'PY'
import os, random, shutil, sys
path, chance = sys.argv[1], random.Random(int(sys.argv[2]))
size = os.path.getsize(path)
at = size // 2 + chance.randrange(1 << 20)
with open(path, "rb") as old, open(path + ".new", "wb") as new:
    for left in (at, None):
        while left is None or left > 0:
            piece = old.read(1 << 20 if left is None else min(left, 1 << 20))
            if not piece:
                break
            new.write(piece)
            left = None if left is None else left - len(piece)
        if left == 0:
            new.write(chance.randbytes(100))
os.rename(path + ".new", path)
with open(path, "r+b") as f:
    for _ in range(10):
        f.seek(chance.randrange(size - 4096))
        f.write(chance.randbytes(4096))
PY
}

random_again() { :; }

### tiny: many files of some hundred bytes. TINY_FILES says how many.

tiny_make() {
    python3 - "$data" "${TINY_FILES:-250000}" <<'PY'
import os, random, sys
top, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9)))
         for _ in range(2000)]
for n in range(count):
    if n % 500 == 0:
        folder = "%s/%03d/%03d" % (top, n // 500 // 40, n // 500 % 40)
        os.makedirs(folder)
    with open("%s/note-%06d.txt" % (folder, n), "wb") as f:
        f.write(b"%d " % n + b" ".join(chance.choices(words, k=chance.randint(5, 100))))
PY
}

tiny_change() { :; }
tiny_again() { :; }

### small: FAR_FILES files of 1 to 15 KiB, a quarter of which nothing compresses.

small_make() {
    python3 - "$data" "${FAR_FILES:-10000}" <<'PY'
import os, random, sys
top, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9)))
         for _ in range(2000)]
for n in range(count):
    folder = "%s/%03d" % (top, n // 200)
    os.makedirs(folder, exist_ok=True)
    size = chance.randint(1 << 10, 15 << 10)
    with open("%s/file-%05d" % (folder, n), "wb") as f:
        f.write(chance.randbytes(size) if n % 4 == 0
                else b" ".join(chance.choices(words, k=size // 4))[:size])
PY
}

### large: one file that nothing compresses. BENCH_FAR_BYTES says how large.

large_make() { head -c "${BENCH_FAR_BYTES:-1000000000}" /dev/urandom >"$data/large"; }
