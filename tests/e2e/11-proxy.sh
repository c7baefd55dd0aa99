#!/bin/bash
# The line that the tests of distance and chaos go through is as long and as narrow
# as it says, and breaks as it is told to. What is measured may be above its due by
# what a busy machine adds, never below.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

# An echo server and a line to it; the two ports are in $W/ports.
prepare() {
    /usr/bin/python3 - "$W/ports" <<'PY' 2>"$W/echo.err" &
import os, socket, sys, threading
def serve(c):
    try:
        while data := c.recv(65536):
            c.sendall(data)
        c.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    c.close()
s = socket.create_server(("127.0.0.1", 0))
free = socket.create_server(("127.0.0.1", 0))
ports = "%d %d" % (free.getsockname()[1], s.getsockname()[1])
free.close()
open(sys.argv[1] + ".new", "w").write(ports)
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
    started $!
    until [ -e "$W/ports" ]; do sleep .02; done
    read -r port echo_port <"$W/ports"
    line_between line "$port" "$echo_port" 100 0
}

# asks CODE: Python with `port`, tell(COMMAND), call() for a new connection, and
# echo(CONNECTION, BYTES) for the seconds until all bytes are back.
asks() {
    /usr/bin/python3 - "$(cut -d ' ' -f 1 "$W/ports")" "$W/line.control" "$W/count" 2>"$ERR" <<PY \
        || fail "$(tail -n 1 "$ERR")"
import os, socket, sys, threading, time
port, control, counts = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def tell(command):
    with open(control, "w") as f:
        f.write(command + "\n")
    time.sleep(.05)
def call():
    c = socket.create_connection(("127.0.0.1", port))
    c.settimeout(10)
    return c
def echo(c, n):
    begun, got, sent = time.monotonic(), bytearray(), os.urandom(n)
    t = threading.Thread(target=c.sendall, args=(sent,), daemon=True)
    t.start()
    while len(got) < n:
        piece = c.recv(65536)
        assert piece, "ended after %d of %d bytes" % (len(got), n)
        got += piece
    assert got == sent, "other bytes came back"
    return time.monotonic() - begun
def broken(c):
    try:
        return c.recv(1) == b""
    except ConnectionError:
        return True
def within(what, least, seconds, most):
    assert least <= seconds <= most, "%s took %.3f s, not %.3f to %.3f" % (what, seconds, least, most)
$1
PY
}

delay() {
    asks '
c = call()
within("the first answer", .199, echo(c, 1), .5)
for _ in range(3):
    within("an answer", .099, echo(c, 1), .3)
d = call()
echo(d, 1)
within("an answer beside another", .099, echo(d, 1000), .3)
tell("line 0 0")
within("an answer without delay", 0, echo(c, 1), .1)
within("32 MiB without delay", 0, echo(c, 32 << 20), 5)
c.sendall(b"last words")
c.shutdown(socket.SHUT_WR)
time.sleep(.2)
assert c.recv(100) == b"last words" and c.recv(1) == b"", "the end of the stream was lost"
'
}

# Two connections share the rate; both directions have their own.
rate() {
    asks '
tell("line 20 4194304")
c, d = call(), call()
took = [0, 0]
def one(i, s):
    took[i] = echo(s, 4 << 20)
threads = [threading.Thread(target=one, args=x) for x in ((0, c), (1, d))]
begun = time.monotonic()
for t in threads: t.start()
for t in threads: t.join()
within("8 MiB by two connections at 4 MiB/s", 1.9, time.monotonic() - begun, 3)
assert min(took) > 1.4, "one connection had it all: %s" % took
tell("count " + counts)
up, down, calls = map(int, open(counts).read().split())
assert up == down and up >= 8 << 20 and calls >= 4, "counted %d %d %d" % (up, down, calls)
'
}

# It must not burn what the programs under test need.
cheap() {
    local pid before after
    pid=$(cat "$W/line.pid")
    before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    asks '
tell("line 200 4194304")
within("4 MiB", 1, echo(call(), 4 << 20), 2.5)
time.sleep(1)
'
    after=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    [ $((after - before)) -lt 40 ] || fail "it took $((after - before)) hundredths of CPU"
}

breaks() {
    asks '
tell("line 0 0")
c = call()
echo(c, 10)
tell("cut")
assert broken(c), "cut: the connection lives"
c = call()
echo(c, 10)
tell("stall")
c.sendall(b"x")
d = call()
d.sendall(b"y")
c.settimeout(.3)
try:
    c.recv(1)
    assert False, "something came through a stalled line"
except TimeoutError:
    pass
tell("mend")
c.settimeout(10)
assert c.recv(1) == b"x" and d.recv(1) == b"y", "what was stalled is lost"
tell("refuse")
assert broken(c), "refuse: the connection lives"
try:
    call()
    assert False, "a connection was let in"
except ConnectionRefusedError:
    pass
tell("mend")
echo(call(), 10)
'
}

try "an echo server behind a line" prepare || finish
try "the round trip takes its time" delay
try "all connections share the rate" rate
try "a busy line takes little CPU" cheap
try "cut, stalled, refused and mended" breaks
finish
