"""The page and its files, over the table they are served from."""

import gzip
import json
from pathlib import Path

import pytest

from sonde_broker import pages
from sonde_broker.errors import InvalidSettings
from sonde_broker.health import Health
from sonde_broker.pages import Pages
from sonde_wire import asyncapi

WELL = Health(bus_up=True)
NO_BUS = Health(bus_up=False)


@pytest.fixture
def site(tmp_path: Path) -> Pages:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + "x" * 2000)
    (tmp_path / "assets" / "index-B7x_kQ2a.js").write_text("let a = 1;" * 200)
    (tmp_path / "assets" / "logo.png").write_bytes(b"\x89PNG" + bytes(600))
    (tmp_path / "robots.txt").write_text("no")
    return Pages(pages.load(tmp_path))


def test_the_page_is_revalidated_and_its_hashed_files_are_kept_for_ever(site: Pages) -> None:
    page = site.respond("GET", "/", health=WELL)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Cache-Control"] == "no-cache"
    script = site.respond("GET", "/assets/index-B7x_kQ2a.js", health=WELL)
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.headers["Cache-Control"].endswith("immutable")
    assert "immutable" not in site.respond("GET", "/assets/logo.png", health=WELL).headers["Cache-Control"]


def test_files_are_compressed_for_those_who_can_read_it(site: Pages) -> None:
    plain = site.respond("GET", "/", health=WELL)
    packed = site.respond("GET", "/", encodings="br, gzip", health=WELL)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body or b"") == plain.body
    assert packed.headers["Content-Length"] == str(len(packed.body or b""))
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    image = site.respond("GET", "/assets/logo.png", encodings="gzip", health=WELL)
    assert "Content-Encoding" not in image.headers


def test_what_is_known_is_not_sent_again(site: Pages) -> None:
    etag = site.respond("GET", "/", health=WELL).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = site.respond("GET", "/", known_etags=known, health=WELL)
        assert (again.status_code, again.body) == (304, b"")
        assert "Content-Length" not in again.headers
    assert site.respond("GET", "/", known_etags='"other"', health=WELL).status_code == 200


def test_head_has_the_headers_and_not_the_body(site: Pages) -> None:
    head, get = (site.respond(method, "/", health=WELL) for method in ("HEAD", "GET"))
    assert head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    "path", ["", "/nothing", "//", "/../index.html", "/assets", "/assets/", "/INDEX.HTML"]
)
def test_what_is_not_in_the_table_is_not_there(site: Pages, path: str) -> None:
    assert site.respond("GET", path, health=WELL).status_code == 404


def test_every_answer_carries_the_security_headers(site: Pages) -> None:
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("PUT", "/"), ("GET", "/healthz")):
        headers = site.respond(method, path, health=WELL).headers
        for name, value in pages.SECURITY_HEADERS.items():
            assert headers[name] == value


def test_health_is_about_us_and_readiness_about_the_bus(site: Pages) -> None:
    assert site.respond("GET", "/healthz", health=NO_BUS).status_code == 200
    assert site.respond("GET", "/readyz", health=WELL).status_code == 200
    assert site.respond("GET", "/readyz", health=NO_BUS).status_code == 503


@pytest.mark.parametrize(
    ("health", "status", "said", "part", "problem"),
    [
        (WELL, 200, "ready", "history", ""),
        (NO_BUS, 503, "not ready", "bus", "no line to the bus"),
        (Health(bus_up=False, bus_problem="refused"), 503, "not ready", "bus", "refused"),
        (Health(bus_up=True, draining=True), 503, "not ready", "viewers", "told to stop"),
        (
            Health(bus_up=True, history="degraded", history_problem="the disk is full"),
            200,
            "degraded",
            "history",
            "the disk is full",
        ),
    ],
    ids=["well", "no bus", "bus says why", "draining", "history"],
)
def test_readiness_names_each_part_and_what_is_wrong_with_it(
    site: Pages, health: Health, status: int, said: str, part: str, problem: str
) -> None:
    response = site.respond("GET", "/readyz", health=health)
    told = json.loads(response.body or b"")
    assert (response.status_code, told["status"]) == (status, said)
    assert set(told["parts"]) == {"bus", "history", "viewers"}
    unwell = {name for name, each in told["parts"].items() if "problem" in each}
    assert unwell == ({part} if problem else set())
    assert problem in told["parts"][part].get("problem", "")


def test_the_document_of_the_wire_is_a_file_like_any_other() -> None:
    document = Pages({"/asyncapi.json": pages.document()}).respond("GET", "/asyncapi.json", health=WELL)
    assert document.headers["Content-Type"] == "application/json"
    assert (document.body or b"").decode() == asyncapi.text()


def test_a_page_that_was_not_built_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pages, "_installed", lambda: tmp_path)
    page = Pages(pages.load(None)).respond("GET", "/", health=WELL)
    assert page.status_code == 200
    assert b"make page" in (page.body or b"")


def test_a_directory_without_a_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"no index\.html"):
        pages.load(tmp_path)
