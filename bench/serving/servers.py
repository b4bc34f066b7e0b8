"""The servers under test: each is started on one processor, filled, asked, and stopped."""

import json
import os
import re
import shutil
import socket
import subprocess
import time

FOLDER = os.path.abspath("build/bench/serving")
LOAD = os.path.join(FOLDER, "load")
PROJECT = os.path.join(FOLDER, "project")
SERVER_CPU, CLIENT_CPU = 0, 1
ROW_BYTES = {"rows950": 949, "rows100": 99, "rows460": 459, "wide": 5 * 450}
VALUES = {"rows950": (1, 11, "string"), "rows100": (1, 11, "float64"), "rows460": (1, 51, "float64"),
          "wide": (5, 50, "float64")}


def pin(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def load(*words, check=True):
    """Runs the client on its processor; returns what it says."""
    command = [LOAD, *[str(word) for word in words]]
    done = subprocess.run(command, preexec_fn=pin(CLIENT_CPU), capture_output=True, text=True,
                          errors="backslashreplace")
    if done.returncode and check:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-600:]}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One process. `words` are its command; the port is known before it starts or read from it."""

    name = title = None
    fill_with = None  # the protocol that puts the rows in; None: they are there

    def __init__(self, shape, entities):
        self.shape, self.entities = shape, entities
        self.port, self.process = free_port(), None

    def start(self):
        self.process = subprocess.Popen(
            self.command(), preexec_fn=pin(SERVER_CPU), text=True, cwd=FOLDER,
            stdout=subprocess.PIPE if self.tells_port() else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        if self.tells_port():
            line = self.process.stdout.readline()
            self.port = int(re.search(r"(\d+)\s*$", line).group(1))
        else:
            self.wait_for_port()
        return self

    def tells_port(self):
        return False

    def wait_for_port(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.title} does not start: {' '.join(self.command())}")

    def fill(self):
        if self.fill_with:
            self.ask(self.fill_with, batch=100, depth=4, all=True)

    def ask(self, protocol, **options):
        words = ["run", "--protocol", protocol, "--shape", self.shape, "--port", self.port,
                 "--pid", self.process.pid, "--entities", self.entities]
        for name, value in options.items():
            words += ["--" + name] if value is True else ["--" + name, value]
        return json.loads(load(*words))

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


class Tidemark(Server):
    name, title = "tidemark", "Tidemark"
    read_with, write_with = "tidemark", "tidemark-push"

    def __init__(self, shape, entities, binary, cache=None, durability=None):
        super().__init__(shape, entities)
        self.binary, self.durability = binary, durability
        self.cache = cache or 3 * entities * (ROW_BYTES[shape] + 150) // 2 + (64 << 20)

    def command(self):
        words = [self.binary, "-C", PROJECT, "serve", "--listen", "127.0.0.1:0", "--threads", "1",
                 "--cache", str(self.cache)]
        return words + (["--durability", self.durability] if self.durability else [])

    def tells_port(self):
        return True

    def fill(self):
        # Rows are in the store; asking for all of them brings them into memory.
        self.ask("tidemark", batch=100, connections=4, all=True)


class Redis(Server):
    def __init__(self, shape, entities, fsync=None):
        super().__init__(shape, entities)
        self.fsync = fsync
        self.folder = os.path.join(FOLDER, f"redis-{self.port}")
        os.makedirs(self.folder, exist_ok=True)

    def command(self):
        words = ["redis-server", "--port", str(self.port), "--save", "", "--dir", self.folder,
                 "--bind", "127.0.0.1"]
        if self.fsync:
            words += ["--appendonly", "yes", "--appendfsync", self.fsync,
                      "--auto-aof-rewrite-percentage", "0"]
        return words

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisHashes(Redis):
    name, title = "redis-hmget", "Redis, HMGET"
    read_with, write_with, fill_with = "redis-hmget", "redis-hset", "redis-hset-new"


class RedisBlobs(Redis):
    name, title = "redis-mget", "Redis, MGET of packed rows"
    read_with, write_with, fill_with = "redis-mget", "redis-set", "redis-set"


class Memcached(Server):
    name, title = "memcached", "memcached"
    read_with, write_with, fill_with = "memcached", "memcached-set", "memcached-set"

    def command(self):
        return ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0",
                "-t", "1", "-m", "8192", "-c", "1024"]


class Tarantool(Server):
    name, title = "tarantool", "Tarantool, memtx"
    read_with, write_with, fill_with = "tarantool", "tarantool-replace", "tarantool-replace"

    def __init__(self, shape, entities, wal="none"):
        super().__init__(shape, entities)
        self.folder = os.path.join(FOLDER, f"tarantool-{self.port}")
        os.makedirs(self.folder, exist_ok=True)
        self.script = os.path.join(self.folder, "init.lua")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(
                f"box.cfg {{ wal_mode = '{wal}',\n"
                f"  work_dir = '{self.folder}', memtx_memory = 6 * 1024^3, log_level = 2,\n"
                "  checkpoint_interval = 0, readahead = 1024 * 1024 }\n"
                "box.schema.user.grant('guest', 'super')\n"
                "local space = box.schema.space.create('rows', { id = 512 })\n"
                "space:create_index('primary', { type = 'hash', parts = { 1, 'unsigned' } })\n"
                f"box.cfg {{ listen = '127.0.0.1:{self.port}' }}\n")

    def command(self):
        return ["tarantool", self.script]

    def stop(self):
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Limit(Server):
    """Answers of the same size without looking anything up; the batch is fixed when it starts."""

    name, title = "limit", "libuv, fixed answer"
    read_with = "limit"

    def __init__(self, shape, entities, batch):
        super().__init__(shape, entities)
        self.sizes = load("sizes", shape, batch).split()

    def command(self):
        return [os.path.join(FOLDER, "limit"), *self.sizes]

    def tells_port(self):
        return True

    def wait_for_port(self):
        pass


def definitions():
    """The project that serves all shapes."""
    text = "-- Views of the serving benchmark; made by bench/serving.\n"
    text += "entity 'entity' { keys = { int64 'entity_id' } }\n"
    for shape, (views, values, kind) in VALUES.items():
        text += f"\nsource '{shape}' {{ path = 'data/{shape}.csv', event_time = 'event_timestamp' }}\n"
        names = [shape] if views == 1 else [f"{shape}{view}" for view in range(views)]
        features = ["int64 'f00'"] + [f"{kind} 'f{value:02d}'" for value in range(1, values)]
        for name in names:
            text += (f"feature_view '{name}' {{ entity = 'entity', source = '{shape}',\n"
                     f"  features = {{ {', '.join(features)} }} }}\n")
        wanted = ", ".join(f"'{name}:*'" for name in names)
        text += f"feature_service '{shape}' {{ features = {{ {wanted} }} }}\n"
    return text


def prepare_project(binary, shapes):
    """Materializes what is not there yet; `shapes` gives the entities of each shape."""
    done = os.path.join(PROJECT, "done.json")
    text = definitions()
    if os.path.exists(done):
        with open(done, encoding="utf-8") as file:
            made = json.load(file)
        if made["definitions"] == text:
            if all(made["shapes"].get(shape) == count for shape, count in shapes.items()):
                return
            shapes = {**made["shapes"], **shapes}
    shutil.rmtree(PROJECT, ignore_errors=True)
    os.makedirs(os.path.join(PROJECT, "definitions"))
    os.makedirs(os.path.join(PROJECT, "data"))
    with open(os.path.join(PROJECT, "definitions", "serving.lua"), "w", encoding="utf-8") as file:
        file.write(text)
    for shape in VALUES:
        with open(os.path.join(PROJECT, "data", f"{shape}.csv"), "w", encoding="utf-8") as file:
            subprocess.run([LOAD, "csv", shape, str(shapes.get(shape, 1))], stdout=file, check=True)
    run = [binary, "-C", PROJECT, "--quiet"]
    subprocess.run([*run, "apply"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*run, "materialize", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(os.path.join(PROJECT, "data"))
    with open(done, "w", encoding="utf-8") as file:
        json.dump({"shapes": shapes, "definitions": text}, file)


def forget_project():
    """The next run makes it anew: rows were pushed into it."""
    os.remove(os.path.join(PROJECT, "done.json"))
