"""The faults of anchors F5, F12, F13 and F14: of the server's machine, its power, its disk and its clock."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from typing import Final

from tests.campaigns.faults.faults import to_its_end, with_server
from tests.campaigns.faults.scene import Damage, Scene
from tests.campaigns.fleet import TTL
from tests.campaigns.servers.shimmed import ShimmedServer

HALF_A_RECORD: Final = b"*3\r\n$4\r\nHSET\r\n$5\r\nhal"
NO_RECORD: Final = b"\x00\xffthis is no record\r\n"
_CUT_OFF: Final = 1_000_000_000
"""Nanoseconds: the last 2,000 bytes of the file are younger."""


async def power(scene: Scene) -> None:
    """F5: the power fails: what no fsync has made safe is gone."""
    await _end_it(scene, "power failures", _shimmed(scene).lose_power)


async def crashes_that_forget(scene: Scene) -> None:
    """F4: the server is killed. With `everysec` it has not written what it answered while an fsync took long."""
    await _end_it(scene, "crashes", _shimmed(scene).kill)


async def disk(scene: Scene) -> None:
    """F12: the disk is full for a while. With `always` the server ends by that, and a supervisor starts it again."""
    server = _shimmed(scene)

    def supervise() -> None:
        server.shim.free()
        if not server.running:
            server.start()
            scene.struck["ends of the server"] += 1

    while True:
        await asyncio.sleep(scene.pause())
        with scene.strike("full disks"):
            try:
                server.shim.fill(scene.chance.choice(("at once", "half a write first")))
                await asyncio.sleep(scene.chance.uniform(0.1, 2 * TTL))
            finally:
                await to_its_end(asyncio.to_thread(supervise))


STEPS: Final = (0.3, -0.3, 5.0, -5.0, 60.0, -60.0, 3600.0, -7200.0)
"""Seconds."""


async def clock(scene: Scene) -> None:
    """F13: the server's clock jumps, ahead and back, or is too fast or too slow for a second."""
    shim = _shimmed(scene).shim
    while True:
        await asyncio.sleep(scene.pause())
        if scene.chance.random() < 0.3:
            drift = scene.chance.choice((0.0005, -0.0005))
            with scene.strike("drifts of the clock"):
                for _ in range(50):
                    shim.seconds_ahead += drift * 0.02
                    await asyncio.sleep(0.02)
        else:
            with scene.strike("steps of the clock"):
                shim.seconds_ahead += scene.chance.choice(STEPS)


async def tails(scene: Scene) -> None:
    """F14: the server is killed, and its file ends in half a record, lacks its last bytes, or ends in rubbish."""
    server = _shimmed(scene)

    def strike(damage: Damage) -> None:
        killed = time.monotonic_ns()
        server.kill()
        tail = server.tail()
        length = tail.stat().st_size
        match scene.chance.randrange(3):
            case 0:
                _append(server, HALF_A_RECORD)
            case 1:
                damage.kept = killed - _CUT_OFF
                os.truncate(tail, max(0, length - scene.chance.randrange(1, 2000)))
            case _:
                _append(server, NO_RECORD)
                refuse_to_start(server)
                os.truncate(tail, length)  # as the server's own tool mends it
        server.start()

    await with_server(scene, "damaged files", strike)


async def _end_it(scene: Scene, word: str, end: Callable[[], object]) -> None:
    server = _shimmed(scene)

    def strike(damage: Damage) -> None:
        end()
        if server.sync != "always":
            damage.kept = server.synced_at()
        server.start()

    await with_server(scene, word, strike)


def _append(server: ShimmedServer, what: bytes) -> None:
    with server.tail().open("ab") as file:
        file.write(what)


def refuse_to_start(server: ShimmedServer) -> None:
    """AssertionError unless a server with this file ends by itself and says why."""
    words = ["--port", "0", "--unixsocket", "refused.sock", "--appendonly", "yes", "--save", ""]
    done = subprocess.run(
        [server.shim.binary, *words], cwd=server.files.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0, "it started with a file that cannot be read"
    assert "Bad file format" in done.stdout, done.stdout


def _shimmed(scene: Scene) -> ShimmedServer:
    assert isinstance(scene.server, ShimmedServer)
    return scene.server
