from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from exporter.runtime.bundle import Bundle
from exporter.server.api_app import api_app
from exporter.server.host_names import hosts_of
from tests.exporter.server.served import write_page_bundle, write_picture_bundle

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def bundle(toy_bundle):
    return Bundle.open(toy_bundle)


@pytest.fixture(scope="session")
def picture_bundle(toy_bundle, tmp_path_factory):
    return Bundle.open(write_picture_bundle(toy_bundle, tmp_path_factory.mktemp("pictures") / "bundle"))


@pytest.fixture(scope="session")
def page_bundle(toy_bundle, tmp_path_factory):
    return write_page_bundle(toy_bundle, tmp_path_factory.mktemp("page") / "bundle")


@pytest.fixture
def client_of():
    """A client of a bundle's interface."""
    opened = []

    def client(bundle, most_waiting=2):
        app = api_app(bundle, most_waiting, hosts_of("127.0.0.1"))
        opened.append(TestClient(app, base_url=ADDRESS, raise_server_exceptions=False))
        return opened[-1].__enter__()

    yield client
    for one in opened:
        one.__exit__(None, None, None)
