"""Both processes as they run: through a proxy, seen by status, doctor and probes, and ended by SIGTERM."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

from kits.command_kit import client, read, server, town
from kits.federation_kit import enrol, start
from kits.link_kit import free_port
from kits.proxy_kit import proxy


def test_a_holder_behind_a_proxy_and_its_coordinator(tmp_path: Path) -> None:
    here, port, probes = town(tmp_path), free_port(), free_port()
    desk, home = ("--config", here.desk), ("--config", here.home)
    words = ("--address", f"127.0.0.1:{port}", "--bind", f"127.0.0.1:{port}")
    assert server("gateway", "make", *words, *desk) == 0
    enrol(here, "north")
    with (here.desk / "server.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[probes]\nport = {probes}\n")
    out = here.root / "out.json"
    with proxy(tmp_path / "house") as house:
        with (here.home / "client.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[federation.connection]\nproxy = "{house.url}"\n')
        serve = start("server", here.root, "serve", "--log-format", "json", *desk)
        run = None
        try:
            serve.wait_for('"event": "ready"')
            run = start("client", here.root, "run", "--log-format", "json", *home)
            run.wait_for('"event": "answering"')
            deadline = time.monotonic() + 60
            while not (here.home / "federation" / "city" / "contact.json").exists():
                assert time.monotonic() < deadline, run.said()
                time.sleep(0.05)
            assert client("doctor", *home, "--json", out) == 0, read(out)
            assert client("status", *home, "--json", out) == 0
            assert (read(out)["running"], read(out)["federations"][0]["trouble"]) == (True, "")
            assert server("doctor", *desk, "--json", out) == 0, read(out)
            assert server("status", *desk, "--json", out) == 0
            assert read(out)["serves"] is True
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{probes}/readyz", timeout=20) as answer:
                assert json.loads(answer.read()) == {"ready": True, "gateway": True, "link": True}
            assert house.asked
        finally:
            status = [process.end() for process in (run, serve) if process is not None]
    assert status == [0, 0]
    assert server("status", *desk, "--json", out) == 0
    assert [each["last_contact"] is not None for each in read(out)["holders"]] == [True]
    for process in (run, serve):
        assert process is not None
        events = [json.loads(line)["event"] for line in process.said().splitlines()]
        assert events[-1] == "stopped"
