"""Egress: nothing leaves without an entry, and the refusal says exactly what is missing."""

import tomllib
from typing import Any

import httpx
import pytest

from metier.core.errors import EgressRefused, InputError
from metier.core.workspace import Workspace
from metier.privacy import Egress, EgressEntry, PrivacyConfig

URL = "https://api.example.com/v1/chat/completions?key=hidden"


class Log:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, Any]] = []

    def append(self, actor: str | None, action: str, subject: str, detail: Any = None) -> None:
        self.entries.append((action, subject, detail))


def permitting(host: str, purpose: str = "baseline") -> PrivacyConfig:
    return PrivacyConfig(egress=[EgressEntry(host=host, purpose=purpose, agreement="DPA 7")])


def send(egress: Egress, texts: list[str], served: list[str]) -> None:
    """Send texts the way an engine does: checked first, then to a fake endpoint."""

    def endpoint(request: httpx.Request) -> httpx.Response:
        served.append(request.content.decode())
        return httpx.Response(200)

    egress.check(URL, "baseline", len(texts))
    with httpx.Client(transport=httpx.MockTransport(endpoint)) as client:
        for text in texts:
            client.post(URL, content=text)


def test_without_entries_nothing_reaches_the_endpoint() -> None:
    served: list[str] = []
    log = Log()
    with pytest.raises(EgressRefused) as caught:
        send(Egress(PrivacyConfig(), log), ["secret"], served)
    assert served == []
    assert str(caught.value) == (
        "expected a permission to send text to api.example.com for baseline\n"
        "got no [privacy.egress] entry with this host and purpose\n"
        "to fix: if an agreement covers it, add to metier.toml:\n"
        "[[privacy.egress]]\n"
        'host = "api.example.com"\n'
        'purpose = "baseline"\n'
        'agreement = "<reference of the agreement>"'
    )
    assert caught.value.http_status == 403
    assert log.entries == [
        ("egress.refused", "api.example.com", {"purpose": "baseline", "texts": 1})
    ]


def test_the_lines_of_the_refusal_are_the_permission() -> None:
    with pytest.raises(EgressRefused) as caught:
        Egress(PrivacyConfig()).check(URL, "baseline")
    lines = caught.value.remedy.partition("\n")[2]
    config = PrivacyConfig.model_validate(tomllib.loads(lines)["privacy"])
    assert Egress(config).check(URL, "baseline").host == "api.example.com"


def test_what_is_permitted_is_counted_and_audited_without_the_text() -> None:
    served: list[str] = []
    log = Log()
    egress = Egress(permitting("api.example.com"), log)
    send(egress, ["one", "two"], served)
    send(egress, ["three"], served)
    assert served == ["one", "two", "three"]
    assert egress.counts == {("api.example.com", "baseline"): 3}
    assert log.entries[0] == (
        "egress.allowed",
        "api.example.com",
        {"purpose": "baseline", "texts": 2, "agreement": "DPA 7"},
    )
    assert "hidden" not in str(log.entries)
    assert "three" not in str(log.entries)


def test_the_audit_log_of_a_workspace_takes_it(workspace: Workspace) -> None:
    egress = Egress(permitting("api.example.com"), workspace.audit)
    egress.check(URL, "baseline", 4)
    with pytest.raises(EgressRefused):
        egress.check(URL, "judge")
    entries = workspace.audit.entries("api.example.com")
    assert [entry.action for entry in entries] == ["egress.allowed", "egress.refused"]
    assert entries[0].detail["texts"] == 4
    assert workspace.audit.verify().ok


def test_another_purpose_is_refused_and_the_known_one_named() -> None:
    with pytest.raises(EgressRefused, match="it is permitted for baseline only"):
        Egress(permitting("api.example.com")).check(URL, "judge")


@pytest.mark.parametrize(
    "url",
    [
        "https://API.example.com./v1",
        "http://api.example.com:8000/v1",
        "https://someone@api.example.com/",
    ],
)
def test_the_same_host_written_otherwise(url: str) -> None:
    assert Egress(permitting("Api.Example.com")).check(url, "baseline").agreement == "DPA 7"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil-api.example.com/",
        "https://api.example.com.evil.org/",
        "https://api.example.com@evil.org/",
        "https://example.com/",
        "http://127.0.0.1:8000/v1",
        "http://localhost:8000/v1",
    ],
)
def test_hosts_that_only_look_alike_and_loopback_are_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        Egress(permitting("api.example.com")).check(url, "baseline")


def test_an_entry_with_a_port_holds_for_that_port() -> None:
    egress = Egress(permitting("127.0.0.1:8000"))
    assert egress.check("http://127.0.0.1:8000/v1", "baseline")
    with pytest.raises(EgressRefused):
        egress.check("http://127.0.0.1:9000/v1", "baseline")
    assert Egress(permitting("api.example.com:443")).check(URL, "baseline")


def test_ipv6_hosts() -> None:
    assert Egress(permitting("::1")).check("http://[::1]:8000/", "baseline")
    assert Egress(permitting("[::1]:8000")).check("http://[::1]:8000/", "baseline")


@pytest.mark.parametrize(
    "url",
    ["api.example.com/v1", "ftp://api.example.com", "https://", "https://a\\@api.example.com", ""],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"a URL such as https://api\.example\.com/v1"):
        Egress(permitting("api.example.com")).check(url, "baseline")


def test_an_entry_needs_all_three() -> None:
    with pytest.raises(ValueError, match="agreement"):
        PrivacyConfig.model_validate({"egress": [{"host": "a", "purpose": "b"}]})
