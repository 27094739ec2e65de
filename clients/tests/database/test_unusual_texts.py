"""No text or number that a client can send is a fault of the server, whatever the database can hold."""

import pytest

from support.databases import KINDS, database
from support.servers import ADMIN_PASSWORD, under_test
from support.unusual import Sweep


@pytest.fixture(params=KINDS)
def server(request, tmp_path):
    """A fresh server on each kind of database."""
    server = under_test()(tmp_path / "data")
    with database(request.param, tmp_path) as connection:
        if server.is_reference:
            server.connection = connection
            yield server.start()
        else:
            server.start()
            server.stop()
            server.move(connection)
            yield server.start(server.serve())
        server.stop()


def test_no_text_is_a_fault_of_the_server(server):
    if server.is_reference:
        pytest.skip("it is, of the reference")
    answers = Sweep(server.plain_url, ADMIN_PASSWORD).run()
    assert len(answers) > 2000
    failed = [f"{status}: {what}" for what, status in answers.items() if status >= 500]
    assert not failed, "\n".join(failed)
