"""A holder's way through the proxy of its house: a tunnel, TLS end to end in it, each fault by its name."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import kits.flower_kit  # noqa: F401  # imports Flower past its dependencies' deprecations
import pytest
from flwr.clientapp import ClientApp
from flwr.proto.fleet_pb2 import ActivateNodeResponse
from kits.link_kit import NOW, free_port, link_files
from kits.proxy_kit import Proxy, proxy
from kits.stub_kit import Stub, stub, wait_until

from ringfence.clients.connections.contact import Contact
from ringfence.clients.connections.looking import inspected, look
from ringfence.clients.connections.routes import ProxyRoute
from ringfence.clients.connections.supernode import BUSY_SECONDS, LOGIN_SECONDS, Place, SuperNode
from ringfence.privacy.crypto.tls_keys import node_key
from ringfence.privacy.errors import KeyFault
from ringfence.server.connections.certificates import Authority

IN = {"activate_node": (200, {}, ActivateNodeResponse(node_id=2).SerializeToString())}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Stub]:
    """A gateway's stand-in, which lets everybody in."""
    files = link_files(tmp_path, Authority.found("federation", NOW))
    with stub((files.certificate, files.key), **IN) as found:
        yield found


def tls(folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


@contextmanager
def node(folder: Path, port: int, route: ProxyRoute | None) -> Iterator[tuple[list[str], Contact]]:
    said: list[str] = []
    stop, contact = threading.Event(), Contact()
    made = SuperNode(
        place=Place(address=f"127.0.0.1:{port}", tls=tls(folder), route=route),
        key=node_key(),
        app=ClientApp(),
        report=said.append,
        contact=contact,
    )
    thread = threading.Thread(target=made.serve, args=(stop,), daemon=True)
    thread.start()
    try:
        yield said, contact
        assert thread.is_alive(), said
    finally:
        stop.set()
        thread.join(20)


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("over_tls", [False, True])
def test_all_goes_through_the_tunnel_and_nothing_of_it_can_be_read(
    tmp_path: Path, door: Stub, over_tls: bool
) -> None:
    with proxy(tmp_path, tls=over_tls, login="bank:pass:word") as house:
        route = ProxyRoute(
            url=house.url,
            authority=house.authority if over_tls else None,
            login=private(tmp_path / "login", "bank:pass:word\n"),
        )
        with node(tmp_path, door.port, route) as (said, contact):
            wait_until(lambda: door.reached.count("pull_messages") > 1)
            assert contact.connected
        assert said == []
        assert set(house.asked) == {f"127.0.0.1:{door.port}"}
        assert b"pull-messages" not in house.carried
        assert len(house.carried) > 1000


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
def test_a_proxy_of_the_environment_is_not_gone_by(
    tmp_path: Path, door: Stub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with proxy(tmp_path) as house:
        monkeypatch.setenv(name, house.url)
        with node(tmp_path, door.port, None):
            wait_until(lambda: "pull_messages" in door.reached)
        assert house.asked == []


def first_words(folder: Path, port: int, route: ProxyRoute) -> list[str]:
    with node(folder, port, route) as (said, contact):
        wait_until(lambda: said)
        assert not contact.connected
        assert contact.trouble == said[0]
    return said


@pytest.mark.parametrize("oldest", [False, True])
def test_a_proxy_that_inspects_is_named_and_gets_nothing(tmp_path: Path, door: Stub, oldest: bool) -> None:
    with proxy(tmp_path, inspects=True, oldest=oldest) as house:
        (sentence, *_) = first_words(tmp_path, door.port, ProxyRoute(url=house.url))
    assert sentence.startswith("RF-K133: ")
    assert "House proxy" in sentence
    assert door.reached == []


def test_whoever_stands_where_the_gateway_should_is_named_without_a_proxy_too(
    tmp_path: Path, door: Stub
) -> None:
    other = tmp_path / "other"
    link_files(other, Authority.found("federation", NOW))
    with node(other, door.port, None) as (said, _contact):
        wait_until(lambda: said)
    assert said[0].startswith("RF-K133: ")
    assert door.reached == []


CASES: dict[str, tuple[dict[str, object], str, str]] = {
    "no login": ({"login": "bank:secret"}, "", "RF-U564"),
    "a wrong login": ({"login": "bank:secret"}, "bank:other", "RF-U564"),
    "a login that is none": ({"login": "bank:secret"}, "bank", "RF-K130"),
    "a refusal": ({"status": 403}, "", "RF-U565"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_of_a_proxy_has_its_sentence(tmp_path: Path, door: Stub, case: str) -> None:
    options, login, code = CASES[case]
    with proxy(tmp_path, **options) as house:  # type: ignore[arg-type]
        path = private(tmp_path / "login", login) if login else None
        (sentence, *_) = first_words(tmp_path, door.port, ProxyRoute(url=house.url, login=path))
    assert sentence.startswith(f"{code}: ")
    assert "secret" not in sentence
    assert "stranger" not in sentence


class Pauses(threading.Event):
    """Ends what waits for it at the first pause, and tells how long that would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.told.append(timeout)
        self.set()
        return True


@pytest.mark.parametrize(("login", "pause"), [("bank:old", LOGIN_SECONDS), ("bank", BUSY_SECONDS)])
def test_a_login_that_was_refused_is_not_shown_again_soon(
    tmp_path: Path, door: Stub, login: str, pause: float
) -> None:
    """A proxy locks the account of who tries too often."""
    with proxy(tmp_path, login="bank:secret") as house:
        route = ProxyRoute(url=house.url, login=private(tmp_path / "login", login))
        place = Place(address=f"127.0.0.1:{door.port}", tls=tls(tmp_path), route=route)
        stop = Pauses()
        SuperNode(place=place, key=node_key(), app=ClientApp()).serve(stop)
    assert stop.told == [pause]


def test_a_proxy_that_is_not_there(tmp_path: Path, door: Stub) -> None:
    route = ProxyRoute(url=f"http://127.0.0.1:{free_port()}")
    assert first_words(tmp_path, door.port, route)[0].startswith("RF-U563: ")


def test_a_gateway_that_is_not_there_behind_a_proxy(tmp_path: Path) -> None:
    link_files(tmp_path, Authority.found("federation", NOW))
    with proxy(tmp_path) as house:
        assert first_words(tmp_path, free_port(), ProxyRoute(url=house.url))[0].startswith("RF-W331: ")


def https(house: Proxy, authority: Path | None) -> ProxyRoute:
    return ProxyRoute(url=house.url, authority=authority)


def test_the_federations_authority_vouches_for_no_proxy_and_the_proxys_for_no_gateway(
    tmp_path: Path, door: Stub
) -> None:
    with proxy(tmp_path, tls=True) as house:
        federation = tmp_path / "authority.pem"
        assert first_words(tmp_path, door.port, https(house, federation))[0].startswith("RF-K132: ")
        assert first_words(tmp_path, door.port, https(house, None))[0].startswith("RF-K132: ")
    with proxy(tmp_path, tls=True, inspects=True) as house:
        # The very authority that is trusted for the proxy signs what is shown for the gateway.
        words = first_words(tmp_path, door.port, https(house, house.authority))
        assert words[0].startswith("RF-K133: ")
    assert door.reached == []


OPENINGS: dict[str, tuple[Callable[[Path], ProxyRoute], str]] = {
    "no file": (lambda at: ProxyRoute(url="http://p:1", login=at / "absent"), "RF-K051"),
    "readable by others": (
        lambda at: ProxyRoute(url="http://p:1", login=mode(private(at / "l", "a:b"), 0o640)),
        "RF-K052",
    ),
    "no colon": (lambda at: ProxyRoute(url="http://p:1", login=private(at / "l", "user")), "RF-K130"),
    "no user": (lambda at: ProxyRoute(url="http://p:1", login=private(at / "l", ":word")), "RF-K130"),
    "empty": (lambda at: ProxyRoute(url="http://p:1", login=private(at / "l", "")), "RF-K130"),
    "a control character": (
        lambda at: ProxyRoute(url="http://p:1", login=private(at / "l", "a:b\x07")),
        "RF-K130",
    ),
    "no authority": (lambda at: ProxyRoute(url="https://p:1", authority=at / "absent"), "RF-K131"),
    "no certificate": (
        lambda at: ProxyRoute(url="https://p:1", authority=private(at / "pem", "x")),
        "RF-K131",
    ),
}


def mode(path: Path, bits: int) -> Path:
    path.chmod(bits)
    return path


@pytest.mark.parametrize("case", OPENINGS)
def test_a_route_that_cannot_be_opened_says_why(tmp_path: Path, case: str) -> None:
    make, code = OPENINGS[case]
    with pytest.raises(KeyFault) as refusal:
        make(tmp_path).opened()
    assert refusal.value.code == code


def test_what_a_look_sees(tmp_path: Path, door: Stub) -> None:
    seen, error = look(f"127.0.0.1:{door.port}", None, tls(tmp_path))
    assert error is None
    assert (seen.arrived, seen.version, seen.status) == (True, "TLSv1.3", 501)
    assert seen.certificate is not None


def test_a_name_in_a_strangers_certificate_is_shown_as_plain_text() -> None:
    certificate = Authority.found("House \x1b[31m\n proxy" + 100 * "x", NOW).certificate
    sentence = inspected("g:1", certificate).sentence()
    assert sentence.isprintable()
    assert len(sentence) < 500
