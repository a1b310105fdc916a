#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# test_hold.sh - queues survive a crash: by a holder, by the service manager's store

# shellcheck source=tests/tap.sh
. "${srctree:?}/tests/tap.sh"
weir=$objtree/tools/weir

[ "$(id -u)" = 0 ] || skip_all "needs root: /run/weir"

cat > "$tmp/hold.py" <<'END'
import glob, os, re, select, signal, socket, struct, subprocess, sys, time

weir, name, mode = sys.argv[1:4]
children = []

def start(*args, **kw):
    p = subprocess.Popen([weir, *args], stdout=subprocess.PIPE, **kw)
    children.append(p)
    return p

def line(p, want):
    while True:
        text = ""
        while not text.endswith("\n"):
            if not select.select([p.stdout], [], [], 20)[0]:
                sys.exit(f"no line with {want!r}")
            byte = os.read(p.stdout.fileno(), 1).decode()
            if not byte:
                break
            text += byte
        print(text, end="", flush=True)
        if not text:
            sys.exit(f"ended before {want!r}")
        if re.search(want, text):
            return text

def serve(*args, **kw):
    p = start("serve", service, "--instance", name, *extra, *args, **kw)
    return p, int(re.search(r":(\d+): (\d+) worker", line(p, "listening on"))[1])

def wait(p):
    status = p.wait(20)
    children.remove(p)
    return status

def clients(port, n):
    out = [socket.socket(socket.AF_INET, kind) for _ in range(n)]
    for c in out:
        c.settimeout(10)
        c.connect(("127.0.0.1", port))
        c.send(b"hello")
    return out

def answered(out):
    for c in out:
        got = c.recv(5)
        assert got == b"hello", got
        c.close()

def stopped(task):
    try:
        return open(f"{task}/stat").read().rsplit(")", 1)[1].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True             # one that has ended meanwhile

def crash(p, port, gone):
    """Clients in the queues of a service that cannot accept, which is then killed."""
    os.kill(p.pid, signal.SIGSTOP)
    while not all(map(stopped, glob.glob(f"/proc/{p.pid}/task/*"))):
        os.sched_yield()
    early = clients(port, 20)
    os.kill(p.pid, signal.SIGKILL)
    assert wait(p) == -signal.SIGKILL
    gone()
    return early + clients(port, 5)

def elsewhere(port, *args):
    """Listeners stay where they are, whatever is said."""
    for where in (("--port", str(port % 60000 + 1024)), ("--addr", "127.0.0.2")):
        other = subprocess.run([weir, "serve", service, "--instance", name, *extra, *where, *args],
                               stderr=subprocess.PIPE, text=True, timeout=20)
        assert other.returncode == 1 and f"at 127.0.0.1:{port}" in other.stderr, other

def named():
    """A name whose service lives, without --takeover: also by the holder."""
    other = subprocess.run([weir, "serve", service, "--instance", name, *extra],
                           stderr=subprocess.PIPE, text=True, timeout=20)
    assert other.returncode == 1 and f"instance {name}: " in other.stderr, other

def refused(port):
    """Nobody is there: once the kernel has taken down the rings of those that were killed."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with socket.socket(socket.AF_INET, kind) as c:
                c.settimeout(0.2)
                c.connect(("127.0.0.1", port))
                c.send(b"hello")
                c.recv(5)
        except ConnectionRefusedError:
            return
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    sys.exit("a service that was stopped is still listened for")

def with_holder(late):
    if late:
        p, port = serve("--port", "0", "--workers", "2")
        holder = start("hold", name)
        line(holder, "waiting for")
    else:
        holder = start("hold", name)
        line(holder, "waiting for")
        p, port = serve("--port", "0", "--workers", "2")
    line(holder, "holding 2 listeners of .*, its service is alive")
    waiting = crash(p, port, lambda: line(holder, "its service is gone"))
    elsewhere(port)
    p, again = serve("--port", str(port), "--addr", "127.0.0.1")
    assert again == port
    answered(waiting)
    line(holder, "its service is alive")
    elsewhere(port, "--takeover")
    named()
    # Taken over: the holder follows the successor.
    heir, again = serve("--takeover")
    assert again == port and wait(p) == 0
    line(holder, "its service is alive")
    waiting = crash(heir, port, lambda: line(holder, "its service is gone"))
    p, again = serve()
    answered(waiting)
    line(holder, "its service is alive")
    p.terminate()
    assert wait(p) == 0
    line(holder, "waiting for")
    refused(port)
    other = subprocess.run([weir, "hold", name], stderr=subprocess.PIPE, text=True)
    assert other.returncode == 1 and "has a holder already" in other.stderr, other
    holder.terminate()
    assert wait(holder) == 0
    assert not os.path.exists(f"/run/weir/{name}.hold")

class Manager:
    """What systemd does with NOTIFY_SOCKET and LISTEN_FDS, as sd_notify(3) has it."""
    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(20)
        self.store = {}
    def until_ready(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.sock, 4096, 253)
            said = dict(l.split("=", 1) for l in data.decode().split("\n") if l)
            print(said, fds)
            if said.get("FDSTOREREMOVE") == "1":
                if said["FDNAME"] in self.store:
                    os.close(self.store.pop(said["FDNAME"]))
            if said.get("FDSTORE") == "1":
                assert len(fds) == 1 and said["FDPOLL"] == "0"
                assert not re.search(r"[:\x00-\x1f]", said["FDNAME"])
                self.store[said["FDNAME"]] = fds[0]
            if said.get("READY") == "1":
                return int(said["MAINPID"])
    def run(self, *args):
        # In no order, and with a stranger among them.
        items = sorted(self.store.items(), reverse=True)
        if items:
            items.insert(1, ("stranger", os.open("/dev/null", os.O_RDONLY)))
        high = [os.dup2(fd, 200 + i) for i, (_, fd) in enumerate(items)]
        def child():
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.execv(weir, [weir, "serve", service, "--instance", name, *extra, *args])
        os.environ["NOTIFY_SOCKET"] = self.path
        os.environ["LISTEN_FDS"] = str(len(items))
        os.environ["LISTEN_FDNAMES"] = ":".join(n for n, _ in items)
        p = subprocess.Popen(["/bin/true"], preexec_fn=child, close_fds=False,
                             stdout=subprocess.PIPE)
        children.append(p)
        for fd in high:
            os.close(fd)
        port = int(re.search(r":(\d+): \d+ worker", line(p, "listening on"))[1])
        assert self.until_ready() == p.pid
        return p, port

def with_manager(path):
    manager = Manager(path)
    p, port = manager.run("--port", "0", "--workers", "2")
    assert sorted(manager.store) == [f"weir-{name}-0", f"weir-{name}-1"], manager.store
    waiting = crash(p, port, lambda: None)
    p, again = manager.run()
    assert again == port
    answered(waiting)
    # What has come to a socket stays in it.
    if extra or udp:
        p.terminate()
        assert wait(p) == 0
        return
    # Fewer: what waits in the other queue is moved, and nothing of it stays stored.
    waiting = crash(p, port, lambda: None)
    p, again = manager.run("--workers", "1")
    assert again == port
    answered(waiting)
    assert sorted(manager.store) == [f"weir-{name}-0"], manager.store
    p.terminate()
    assert wait(p) == 0

def hold_refused():
    other = subprocess.run([weir, "hold", name], stderr=subprocess.PIPE, text=True, timeout=20)
    assert other.returncode == 1 and "has a holder already" in other.stderr, other

def names():
    """Who has the name of a holder: one at a time, whoever lives."""
    place = f"/run/weir/{name}.hold"
    for _ in range(15):
        # What a dead one left, and two who come at once.
        dead = start("hold", name)
        line(dead, "waiting for")
        dead.kill()
        wait(dead)
        assert os.path.exists(place)
        both = [start("hold", name, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ready = select.select([p.stdout for p in both], [], [], 20)[0]
        won = [p for p in both if p.stdout in ready and "waiting for" in p.stdout.readline()]
        while not won:
            won = [p for p in both if "waiting for" in p.stdout.readline()]
        lost = both[1 - both.index(won[0])]
        err = lost.communicate(timeout=20)[1]
        children.remove(lost)
        assert lost.returncode == 1 and "has a holder already" in err, (lost.returncode, err)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(place)
            pid = struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            assert pid == won[0].pid
        won[0].terminate()
        assert wait(won[0]) == 0 and not os.path.exists(place)
    # As many wait for it as may: it lives all the same.
    holder = start("hold", name)
    line(holder, "waiting for")
    os.kill(holder.pid, signal.SIGSTOP)
    callers = []
    try:
        while True:
            callers.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
            callers[-1].connect(place)
    except BlockingIOError:
        pass
    hold_refused()
    for c in callers:
        c.close()
    os.kill(holder.pid, signal.SIGCONT)
    # What has taken its place by now is not its own.
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stranger.bind(place + ".new")
    os.rename(place + ".new", place)
    holder.terminate()
    assert wait(holder) == 0 and os.path.exists(place)
    os.unlink(place)

def cleaned():
    """weir clean: what the dead left, and nothing of the living."""
    def clean():
        p = subprocess.run([weir, "clean", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=20)
        print(p)
        return p
    paths = [f"/run/weir/{name}.{kind}" for kind in ("sock", "hold")]
    holder = start("hold", name)
    line(holder, "waiting for")
    p, port = serve("--port", "0")
    assert clean().returncode == 1 and all(map(os.path.exists, paths))
    p.kill()
    wait(p)
    said = clean()
    assert said.returncode == 0 and "and 1 control socket\n" in said.stdout
    assert [os.path.exists(path) for path in paths] == [False, True]
    holder.kill()
    wait(holder)
    assert clean().returncode == 0 and not any(map(os.path.exists, paths))
    assert clean().returncode == 1

extra = ["--no-bpf"] if mode.startswith("plain") else []
udp = "udp" in mode
service = "udp-echo" if udp else "echo"
kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
try:
    if mode.endswith("names"):
        names()
    elif mode.endswith("clean"):
        cleaned()
    elif mode.endswith("manager"):
        with_manager(sys.argv[4])
    else:
        with_holder(mode.endswith("late"))
finally:
    for p in children:
        p.kill()
END

run() {
	timeout $((100 * ${TEST_SCALE:-1})) python3 "$tmp/hold.py" "$weir" "hold-$$-$1" "$2" "$tmp/notify-$1" >> "$tmp/log" 2>&1
}

echo "TAP version 13"
echo "1..12"
run 1 plain
is "without BPF: a holder keeps the queues over kill -9, twice, and follows a takeover"
run 2 plain-late
is "without BPF: a holder that comes later is given them, too"
run 3 plain-manager
is "without BPF: the service manager's store keeps the queues over kill -9"
run 7 plain-names
is "an instance has one holder, also when two come at once"
run 8 plain-clean
is "weir clean removes the sockets of the dead, and none of the living"
run 9 plain-udp
is "without BPF: a holder keeps datagrams over kill -9, twice, and follows a takeover"
run 10 plain-udp-manager
is "without BPF: the service manager's store keeps datagrams over kill -9"

"$weir" doctor -j > "$tmp/doctor" 2>> "$tmp/log"
if json "$tmp/doctor" 'd["rung"] in ("steer", "flow", "full")' 2> /dev/null; then
	run 4 bpf
	is "with BPF: a holder keeps the queues over kill -9, twice, and follows a takeover"
	run 5 bpf-late
	is "with BPF: a holder that comes later is given them, too"
	run 6 bpf-manager
	is "with BPF: the service manager's store keeps the queues over kill -9, and for fewer workers"
	run 11 bpf-udp-late
	is "with BPF: a holder keeps datagrams over kill -9, twice, and follows a takeover"
	run 12 bpf-udp-manager
	is "with BPF: the service manager's store keeps datagrams over kill -9"
else
	: > "$tmp/log"
	for what in "a holder keeps the queues" "a holder that comes later" "the manager's store" \
		"a holder keeps datagrams" "the manager's store keeps datagrams"; do
		skip "with BPF: $what" "BPF is refused here or not built in: see weir doctor"
	done
fi
exit $bad
