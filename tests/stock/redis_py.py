"""Writes by redis-py, as its users do: a Sentinel, its master_for, a thread per writer.

usage: redis_py.py SERVICE LIST HOST:PORT...

Prints `ack VALUE` for every write that was acknowledged, and `err TEXT` for every other, until its
input ends.
"""

import itertools
import sys
import threading
import time

from redis.sentinel import Sentinel

WRITERS = 4
PAUSE = 0.002

service, name, *addresses = sys.argv[1:]
pairs = [address.rsplit(":", 1) for address in addresses]
sentinel = Sentinel([(host, int(port)) for host, port in pairs], socket_timeout=2)
master = sentinel.master_for(service, socket_timeout=2)
ended = threading.Event()
output = threading.Lock()


def tell(line):
    with output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def write(writer):
    key = f"{name}:{writer}"
    for number in itertools.count():
        if ended.is_set():
            return
        value = f"{key}:{number}"
        try:
            master.rpush(key, value)
            tell("ack " + value)
        except Exception as error:  # Whatever it is, its user goes on.
            tell(f"err {type(error).__name__}: {error}")
        time.sleep(PAUSE)


threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
for thread in threads:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
