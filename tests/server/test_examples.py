"""The examples of the server side run as they are printed."""

from __future__ import annotations

import pytest

from tests.support import ROOT, run_python

EXPECTED = {
    "server_backend.py": [
        "ada -> 204 NO CONTENT",
        "grace -> 204 NO CONTENT",
        "ada {'email': 'ada@example.com', 'first_name': 'Ada', 'orders': 1} {'Checkout Completed': 1} {'EUR': 9.0}",
    ],
    "server_audiences.py": [
        "FlushResult(sent=2, kept=0, dead=0, dropped=0)",
        (
            "ada-1815 {'SegmentMembershipArray': ['13053', '11036'], 'In Possible Parisians': True,"
            " 'In Ibiza dreamers': True}"
        ),
        "grace-1906 {'SegmentMembershipArray': ['11036'], 'In Possible Parisians': False, 'In Ibiza dreamers': True}",
    ],
    "server_erasure.py": ["completed ['ada-1815']"],
    "server_currents.py": [
        "ada-1815 users.messages.email.Open Email Opens {'campaign_name': 'Spring', 'machine_open': False}"
    ],
}


def test_every_example_is_run() -> None:
    """No example of the server side is left out."""
    assert {path.name for path in (ROOT / "examples").glob("server_*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    """It ends well, says nothing on standard error, and prints what its calls mean."""
    result = run_python(ROOT / "examples" / name)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for expected in EXPECTED[name]:
        assert expected in lines, result.stdout
