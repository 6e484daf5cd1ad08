"""Settings by both names, and endpoints."""

from __future__ import annotations

import pytest

from mparticle_kit_braze.errors import ConfigurationError
from mparticle_kit_braze.identity import IdentityType
from mparticle_kit_braze.server.settings import SEGMENT_FORMS, ServerSettings, rest_url


def test_mparticle_names_bring_mparticle_defaults() -> None:
    """A configuration by mParticle's names behaves as mParticle's connection does where it says nothing."""
    settings = ServerSettings.from_mparticle({"restApiKey": "k"})
    assert settings.enriched_user_attributes
    assert settings.attributes_wait_for_event
    assert settings.attribute_typing == settings.event_typing == "text"
    assert not settings.lists_as_arrays
    assert not settings.skip_unchanged


def test_python_names_start_frugal() -> None:
    """By Python names only changes are sent, at once, with Python's own types."""
    settings = ServerSettings.from_python(rest_api_key="k")
    assert not settings.enriched_user_attributes
    assert not settings.attributes_wait_for_event
    assert settings.skip_unchanged
    assert settings.event_typing == "native"


def test_mparticle_texts_are_read() -> None:
    """Texts of the dashboard become values."""
    settings = ServerSettings.from_mparticle(
        {
            "userIdentificationType": "Other2",
            "apiTypeDetection": "User Attributes",
            "userTagsValue": "null",
            "cluster": '{"SDK":"sdk.example.com","REST":"rest.example.com"}',
            "includeEnrichedUserAttributes": "False",
            "someKitSetting": "ignored",
        }
    )
    assert settings.user_identification_type is IdentityType.OTHER2
    assert (settings.attribute_typing, settings.event_typing) == ("detected", "text")
    assert settings.tags_as_null
    assert settings.instance == "rest.example.com"
    assert not settings.enriched_user_attributes


@pytest.mark.parametrize(
    ("cluster", "instance"), [(None, "rest.example.com"), ("Custom", "rest.example.com"), ("EU 01", "EU 01")]
)
def test_a_custom_cluster_is_the_host(cluster: str | None, instance: str) -> None:
    """The host counts where no instance of Braze's is chosen."""
    assert ServerSettings.from_mparticle({"cluster": cluster, "host": "rest.example.com"}).instance == instance


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("apiTypeDetection", "Sometimes"),
        ("userTagsValue", "maybe"),
        ("sendSegmentsAs", "Somehow"),
        ("trackBatchLimit", "100"),
        ("segmentArrayLimit", "0"),
        ("userIdentificationType", "Passport"),
        ("includeEnrichedUserAttributes", "yes"),
    ],
)
def test_wrong_texts_name_the_setting(name: str, value: str) -> None:
    """A value a setting does not take is refused with the setting's name."""
    with pytest.raises(ConfigurationError, match=name):
        ServerSettings.from_mparticle({name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_rule": "combined"},
        {"lists_as_arrays": "True"},
        {"segment_array_limit": True},
        {"track_batch_limit": "each"},
        {"api_key": ""},
        {"send_segments_as": "Somehow"},
        {"user_identification_type": 7},
    ],
)
def test_wrong_python_settings(wrong: dict[str, object]) -> None:
    """Unknown names and values of another type are refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ServerSettings.from_python(**wrong)


def test_the_seven_ways_of_segments() -> None:
    """Every choice but the two older names is a different set of attributes."""
    assert len({SEGMENT_FORMS[name] for name in list(SEGMENT_FORMS)[:7]}) == 7


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("US-03", "https://rest.iad-03.braze.com"),
        ("US 03 Cluster", "https://rest.iad-03.braze.com"),
        ("03", "https://rest.iad-03.braze.com"),
        ("US-10", "https://rest.us-10.braze.com"),
        ("EU-02", "https://rest.fra-02.braze.eu"),
        ("KR-01", "https://rest.kr-01.braze.com"),
        ("rest.iad-05.braze.com", "https://rest.iad-05.braze.com"),
        ("https://proxy.example.com/braze/", "https://proxy.example.com/braze"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_rest_url(given: str, url: str) -> None:
    """Instances, hosts and URLs become base URLs."""
    assert rest_url(given) == url


@pytest.mark.parametrize(
    "given",
    ["", "US", "US-00", "http://rest.example.com", "sdk.iad-03.braze.com", "https://u:p@h", "https://h/?q=1", "a b"],
)
def test_rest_url_refuses(given: str) -> None:
    """What is no REST endpoint, or not safe, is refused."""
    with pytest.raises(ConfigurationError):
        rest_url(given)
