"""A nightly sync of audience memberships into Braze.

Runs as it is, against a local Braze: ``python examples/server_audiences.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

from mparticle_kit_braze.sandbox import Sandbox
from mparticle_kit_braze.server import Audience, AudienceUpdate, BrazeRest, ServerSettings

AUDIENCES = [
    Audience("13053", external_name="Possible Parisians"),
    Audience("11036", external_name="Ibiza dreamers"),
]


def changed_memberships() -> Iterable[tuple[str, list[str], list[str]]]:
    """Your warehouse's answer: external id, the audiences the user is in now, and those just left."""
    yield "ada-1815", ["13053", "11036"], []
    yield "grace-1906", ["11036"], ["13053"]


def main() -> None:
    """Send what changed since yesterday, and say what Braze would cut or refuse."""
    settings = ServerSettings.from_python(
        send_segments_as="Both single array attribute and one attribute per segment", segment_array_limit=25
    )
    with Sandbox() as sandbox, BrazeRest("rest-key", sandbox.url, settings=settings, storage=":memory:") as rest:
        for number, (external_id, member_of, left) in enumerate(changed_memberships(), start=1):
            if number % 10_000 == 0:
                rest.flush(timeout=60)  # a night job may wait; the queue has a bound, at which the oldest give way
            result = rest.update_audiences(external_id, AudienceUpdate(AUDIENCES, member_of, left))
            for warning in result.warnings:
                print(f"{external_id}: Braze will cut the memberships ({warning})")
        print(rest.flush(timeout=60))
        print("data points:", rest.data_points())
        for letter in rest.dead_letters():
            print("refused:", letter.reason)
        for external_id in ("ada-1815", "grace-1906"):
            print(external_id, sandbox.rest.user(external_id).attributes)


if __name__ == "__main__":
    main()
