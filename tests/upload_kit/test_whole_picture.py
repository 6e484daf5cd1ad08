"""The whole of mParticle at once: identities from IDSync, data to Braze and to mParticle itself."""

from __future__ import annotations

from pathlib import Path

from mparticle_kit_braze import (
    BrazeKit,
    ForwardingReport,
    IdentityRequest,
    IdentityResult,
    IDSyncResolver,
    MParticle,
    MParticleUploadKit,
)
from mparticle_kit_braze.sandbox import Sandbox
from tests.support import wait_until


def test_identities_from_mparticle_data_to_both(tmp_path: Path) -> None:
    """Calls made before the first answer wait, then reach Braze and mParticle alike, under mParticle's MPID."""
    results: list[IdentityResult] = []
    reports: list[ForwardingReport] = []
    with Sandbox("app-key-1") as sandbox:
        sandbox.mparticle.keys.update({"app": "app-secret", "s2s": "s2s-secret"})
        sandbox.idsync.answering.clear()
        kits = [BrazeKit("app-key-1", sandbox.url), MParticleUploadKit("s2s", "s2s-secret", pod=sandbox.url)]
        resolver = IDSyncResolver("app", "app-secret", endpoint=sandbox.url)
        with MParticle(kits, storage=tmp_path, resolver=resolver) as client:
            client.add_forwarding_listener(reports.append)
            client.log_event("Opened")
            client.login(IdentityRequest(customer_id="ada-1815", on_success=results.append))
            client.set_user_attribute("plan", "gold")
            sandbox.idsync.answering.set()
            wait_until(lambda: results)
            client.log_event("Played", attributes={"genre": "Jazz"})
            user = client.current_user
            assert client.flush(10).complete
        assert user is not None
        assert (sandbox.idsync.problems, sandbox.uploads.problems, sandbox.problems) == ([], [], [])
        assert [event["event_name"] for event in sandbox.uploads.of("custom_event")] == ["Opened", "Played"]
        assert sandbox.uploads.batches[-1]["mpid"] == user.mpid == results[0].user.mpid
        assert sandbox.uploads.batches[-1]["user_identities"] == {"customer_id": "ada-1815"}
        profile = sandbox.profile("ada-1815")
        assert profile.custom_events["Played"] == 1
        assert {(report.kit, report.name) for report in reports if report.call == "log_event"} == {
            (kit, name) for kit in ("Braze", "mParticle") for name in ("Opened", "Played")
        }
        assert {report.outcome for report in reports} == {"forwarded"}
