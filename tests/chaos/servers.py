"""Three S3 servers that a chaos loop may ill-treat: each a Ceph cluster of its own
(mon, osd, gateway) with its data on disk, behind a line that can be cut.
"""
import os
import random
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))
CEPH = os.path.join(HERE, "..", "servers", "ceph-rgw.sh")
DATA = ("mon", "osd")
SPAN = 1400  # ports that a cluster takes, from its first


def free_ports(count):
    """The first of a range of ports that nobody listens on."""
    for _ in range(100):
        first = 10000 + random.randrange(190) * 100
        where = "sport >= %d and sport <= %d" % (first, first + count)
        if not subprocess.check_output(["ss", "-Hltn", where]):
            return first
    raise SystemExit("no free ports")


class Server:
    """Data is in DIR/mon and DIR/osd. A kill loses none of it, other than in the
    servers of the end-to-end scripts, which keep theirs in memory."""

    def __init__(self, name, work, first_port, number):
        self.name = name
        self.dir = os.path.join(work, name)
        self.port = first_port + 10 * number
        self.line_port = first_port + 50 + number
        self.control = os.path.join(work, name + ".control")
        self.copies = []
        self.line = None
        self.log = open(os.path.join(work, "servers.log"), "a")

    def begin(self, proxy):
        self.start()
        self.line = subprocess.Popen([proxy, str(self.line_port), str(self.port),
                                      self.control, "4"], stderr=self.log)
        while not os.path.exists(self.control):
            time.sleep(.02)

    def script(self, *args):
        env = dict(os.environ, CACHE="0", STORE="bluestore")
        subprocess.run([CEPH, *args], env=env, check=True, timeout=120,
                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def tool(self, *argv):
        subprocess.run([argv[0], "-c", self.dir + "/ceph.conf", *argv[1:]], check=True,
                       timeout=60, stdin=subprocess.DEVNULL, stdout=self.log,
                       stderr=self.log)

    def start(self):
        self.script("start", self.dir, str(self.port), self.name)

    def stop(self):
        self.script("stop", self.dir)

    def signal(self, sig, which=("rgw.%s", "osd", "mon")):
        for daemon in which:
            path = "%s/run/%s.pid" % (self.dir, daemon.replace("%s", self.name))
            try:
                os.kill(int(open(path).read()), sig)
            except (OSError, ValueError):
                pass

    def kill(self):
        self.signal(signal.SIGKILL)

    def kill_gateway(self):
        self.signal(signal.SIGKILL, ("rgw.%s",))

    def pause(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def tell_line(self, command):
        with open(self.control, "w") as f:
            f.write(command + "\n")

    # Both ways in which a server is full: this one answers no PUT until it has room.
    def fill(self, full=True):
        shares = (.0005, .0005, .0005) if full else (.85, .9, .95)
        order = ("nearfull", "backfillfull", "full")
        for which, share in sorted(zip(order, shares), reverse=not full):
            self.tool("ceph", "osd", "set-%s-ratio" % which, str(share))

    # And this one refuses it.
    def fill_quota(self, full=True):
        tool = ("radosgw-admin", "--rgw-realm=" + self.name,
                "--rgw-zonegroup=" + self.name, "--rgw-zone=" + self.name, "quota")
        where = ("--quota-scope=bucket", "--bucket=bucket-" + self.name)
        if full:
            self.tool(*tool, "set", *where, "--max-size=1")
        self.tool(*tool, "enable" if full else "disable", *where)

    @staticmethod
    def copy(a, b):
        data = [os.path.join(a, d) for d in DATA]
        subprocess.run(["cp", "-a", "--sparse=always", *data, b], check=True)

    def save(self):
        """A copy of the data folder, from between a stop and a start."""
        copy = "%s.%d" % (self.dir, len(self.copies))
        self.stop()
        os.mkdir(copy)
        self.copy(self.dir, copy)
        self.copies.append(copy)
        if len(self.copies) > 3:
            shutil.rmtree(self.copies.pop(0))
            for i, old in enumerate(self.copies):
                os.rename(old, "%s.%d" % (self.dir, i))
            self.copies = ["%s.%d" % (self.dir, i) for i in range(len(self.copies))]
        self.start()

    def roll_back(self, copy):
        self.stop()
        for d in DATA:
            shutil.rmtree(os.path.join(self.dir, d))
        self.copy(copy, self.dir)
        self.start()

    def lose(self):
        """Another, empty one in its place."""
        self.stop()
        shutil.rmtree(self.dir)
        for copy in self.copies:  # of another cluster: they would not start
            shutil.rmtree(copy)
        self.copies = []
        self.start()

    def end(self):
        self.go_on()
        try:
            self.stop()
        except subprocess.SubprocessError:
            self.kill()
        if self.line:
            self.line.kill()
            self.line.wait()
