"""The page and its files, over the table they are served from."""

import gzip
from pathlib import Path

import pytest

from sonde_broker import pages
from sonde_broker.errors import InvalidSettings
from sonde_broker.pages import Pages


@pytest.fixture
def site(tmp_path: Path) -> Pages:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + "x" * 2000)
    (tmp_path / "assets" / "index-B7x_kQ2a.js").write_text("let a = 1;" * 200)
    (tmp_path / "assets" / "logo.png").write_bytes(b"\x89PNG" + bytes(600))
    (tmp_path / "robots.txt").write_text("no")
    return Pages(pages.load(tmp_path))


def test_the_page_is_revalidated_and_its_hashed_files_are_kept_for_ever(site: Pages) -> None:
    page = site.respond("GET", "/", bus_up=True)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Cache-Control"] == "no-cache"
    script = site.respond("GET", "/assets/index-B7x_kQ2a.js", bus_up=True)
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.headers["Cache-Control"].endswith("immutable")
    assert "immutable" not in site.respond("GET", "/assets/logo.png", bus_up=True).headers["Cache-Control"]


def test_files_are_compressed_for_those_who_can_read_it(site: Pages) -> None:
    plain = site.respond("GET", "/", bus_up=True)
    packed = site.respond("GET", "/", encodings="br, gzip", bus_up=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body or b"") == plain.body
    assert packed.headers["Content-Length"] == str(len(packed.body or b""))
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    image = site.respond("GET", "/assets/logo.png", encodings="gzip", bus_up=True)
    assert "Content-Encoding" not in image.headers


def test_what_is_known_is_not_sent_again(site: Pages) -> None:
    etag = site.respond("GET", "/", bus_up=True).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = site.respond("GET", "/", known_etags=known, bus_up=True)
        assert (again.status_code, again.body) == (304, b"")
        assert "Content-Length" not in again.headers
    assert site.respond("GET", "/", known_etags='"other"', bus_up=True).status_code == 200


def test_head_has_the_headers_and_not_the_body(site: Pages) -> None:
    head, get = (site.respond(method, "/", bus_up=True) for method in ("HEAD", "GET"))
    assert head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize(
    "path", ["", "/nothing", "//", "/../index.html", "/assets", "/assets/", "/INDEX.HTML"]
)
def test_what_is_not_in_the_table_is_not_there(site: Pages, path: str) -> None:
    assert site.respond("GET", path, bus_up=True).status_code == 404


def test_every_answer_carries_the_security_headers(site: Pages) -> None:
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("PUT", "/"), ("GET", "/healthz")):
        headers = site.respond(method, path, bus_up=True).headers
        for name, value in pages.SECURITY_HEADERS.items():
            assert headers[name] == value


def test_health_is_about_us_and_readiness_about_the_bus(site: Pages) -> None:
    assert site.respond("GET", "/healthz", bus_up=False).status_code == 200
    assert site.respond("GET", "/readyz", bus_up=True).status_code == 200
    assert site.respond("GET", "/readyz", bus_up=False).status_code == 503


def test_a_page_that_was_not_built_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pages, "_installed", lambda: tmp_path)
    page = Pages(pages.load(None)).respond("GET", "/", bus_up=True)
    assert page.status_code == 200
    assert b"make page" in (page.body or b"")


def test_a_directory_without_a_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"no index\.html"):
        pages.load(tmp_path)
