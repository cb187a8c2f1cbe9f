"""Where a server listens, as an address that a browser opens."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from exporter.server.listening import address_of, listening_socket


@pytest.mark.parametrize(
    "place, address",
    [
        (("127.0.0.1", 8000), "http://127.0.0.1:8000/"),
        (("192.0.2.1", 80), "http://192.0.2.1:80/"),
        (("::1", 8000, 0, 0), "http://[::1]:8000/"),
        (("0.0.0.0", 8000), "http://127.0.0.1:8000/"),
        (("::", 8000, 0, 0), "http://[::1]:8000/"),
    ],
)
def test_the_address_is_one_that_can_be_opened(place, address):
    assert address_of(SimpleNamespace(getsockname=lambda: place)) == address


def test_a_server_for_any_is_shown_under_this_machines_address():
    with listening_socket("0.0.0.0", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"
