"""Certificates: what they say, who signed them, and that nothing in them can be changed without a trace."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from tests.conformance import report_samples
from tests.paths import ROOT

from vorel_conformance.attestation import envelope, keys, statements
from vorel_conformance.attestation.envelope import CertificateError
from vorel_conformance.attestation.verification import Demands, verify
from vorel_conformance.runs import server as server_run
from vorel_conformance.spec import contract

Kit = Callable[..., Result]
ACCEPTED = {"reason": "old", "owner": "ops", "expires": "2027-01-31"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key."""
    path = tmp_path_factory.mktemp("keys") / "vendor"
    public, _ = keys.generate(path, "")
    return path, public


def signed(pair: tuple[Path, Path], report: Mapping[str, Any], folder: Path, *subjects: str) -> Path:
    """Write a report and its certificate; return the path of the certificate."""
    written = json.dumps(report).encode()
    (folder / "report.json").write_bytes(written)
    made = statements.statements(report, written, [statements.subject(each) for each in subjects])
    path = folder / "certificate.jsonl"
    path.write_bytes(envelope.sign(made, keys.load_signer(pair[0], str)))
    return path


def small() -> dict[str, Any]:
    """A report of two clauses."""
    made = report_samples.report()
    made["clauses"] = made["clauses"][:2]
    return made


def statements_of(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().splitlines()
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]


def test_a_certificate_says_what_the_report_says(pair: tuple[Path, Path], tmp_path: Path) -> None:
    report = report_samples.report({"crm.record-url": "warning", "auth.revoked": "inconclusive"})
    image = f"registry/app@sha256:{'ab' * 32}"
    path = signed(pair, report, tmp_path, str(pair[1]), image)
    result, certificate = statements_of(path)
    digest = sha256((tmp_path / "report.json").read_bytes()).hexdigest()
    assert result["subject"] == certificate["subject"]
    assert [each["name"] for each in result["subject"]] == ["report.json", "vendor.pub", "registry/app"]
    assert result["subject"][0]["digest"] == {"sha256": digest}
    assert result["subject"][2]["digest"] == {"sha256": "ab" * 32}
    assert result["predicate"]["result"] == "WARNED"
    assert result["predicate"]["warnedTests"] == ["crm.record-url"]
    assert result["predicate"]["failedTests"] == []
    assert "auth.revoked" not in result["predicate"]["passedTests"]
    told = certificate["predicate"]
    assert (told["kind"], told["target"], told["seed"]) == ("server", report["target"], report["seed"])
    assert told["contract"]["sha256"] == contract.load().sha256
    assert (told["started"], told["finished"]) == ("2026-11-23T08:15:02Z", "2026-11-23T08:16:16Z")
    by_id = {clause["id"]: clause for clause in told["clauses"]}
    assert len(by_id) == len(report["clauses"])
    assert by_id["auth.revoked"]["status"] == "inconclusive"
    assert "no revoked key" in by_id["auth.revoked"]["reason"]


def test_two_other_implementations_verify_the_signature(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = signed(pair, small(), tmp_path)
    public = load_pem_public_key(pair[1].read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    for line in path.read_bytes().splitlines():
        told = json.loads(line)
        kind, payload = told["payloadType"].encode(), base64.b64decode(told["payload"])
        pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)  # as the protocol of DSSE writes it
        public.verify(base64.b64decode(told["signatures"][0]["sig"]), pae)
        assert Envelope.from_dict(json.loads(line)).verify([keys.load_public(pair[1])], 1)


def test_a_change_of_any_byte_is_seen(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = signed(pair, small(), tmp_path)
    key, original, unseen = keys.load_public(pair[1]), path.read_bytes(), []
    verify(path, key, Demands())
    for position in range(len(original)):
        one, rest = original[:position], original[position + 1 :]
        for changed in (one + bytes([original[position] ^ 1]) + rest, one + rest, one + b" " + original[position:]):
            if changed == original:
                continue
            try:
                envelope.opened(changed, key)
            except CertificateError:
                continue
            unseen.append(position)
    assert unseen == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: lines[:1], "two statements"),
        (lambda lines: [*lines, lines[0]], "two statements"),
        (lambda lines: lines[::-1], "two statements"),
        (lambda lines: [b"\xff\xfe\n"], "not a signed envelope"),
        (lambda lines: [b"[" * 100_000 + b"\n"], "not a signed envelope"),
        (lambda lines: [b"{}\n", lines[1]], "not a signed envelope"),
        (lambda lines: [lines[0].replace(b'"payload"', b'"more":1,"payload"', 1), lines[1]], "around what is signed"),
    ],
)
def test_what_is_no_certificate_is_told(
    pair: tuple[Path, Path], tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], why: str
) -> None:
    path = signed(pair, small(), tmp_path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(CertificateError, match=why):
        verify(path, keys.load_public(pair[1]), Demands())


def test_statements_of_two_certificates_do_not_belong_together(pair: tuple[Path, Path], tmp_path: Path) -> None:
    one = signed(pair, small(), tmp_path).read_bytes().splitlines(keepends=True)
    path = signed(pair, small() | {"seed": 2}, tmp_path)
    other = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(one[0] + other[1])
    with pytest.raises(CertificateError, match="do not belong together"):
        verify(path, keys.load_public(pair[1]), Demands())


def test_another_key_is_told(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path = signed(pair, small(), tmp_path)
    public, keyid = keys.generate(tmp_path / "other", "")
    with pytest.raises(CertificateError, match=f"not by the key {keyid[:16]}"):
        verify(path, keys.load_public(public), Demands())


def test_each_demand_that_is_not_met_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    report = report_samples.report(
        {"crm.record-url": "warning", "auth.revoked": "inconclusive", "limit.retry-after": "failed"}
    )
    next(each for each in report["clauses"] if each["status"] == "failed")["accepted"] = ACCEPTED
    path = signed(pair, report, tmp_path)
    key = keys.load_public(pair[1])
    other = tmp_path / "other.json"
    other.write_text("{}")
    ended = datetime(2026, 11, 23, 8, 16, 16, tzinfo=UTC)
    good = Demands(tmp_path / "report.json", None, timedelta(days=90))
    assert verify(path, key, good, now=ended + timedelta(days=89)).problems == []
    found = verify(path, key, Demands(other, other, timedelta(days=90), "strict"), now=ended + timedelta(days=91))
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "report",
        "contract",
        "age",
        "strict",
        "strict",
        "strict",
    ]
    assert [problem.split(": ")[1:] for problem in found.problems[3:]] == [
        ["inconclusive", "auth.revoked"],
        ["warning", "crm.record-url"],
        ["accepted", "limit.retry-after"],
    ]
    (only,) = verify(path, key, Demands(require="complete"), now=ended).problems
    assert only == "complete: inconclusive: auth.revoked"
    (early,) = verify(path, key, Demands(), now=ended - timedelta(hours=1)).problems
    assert "in the future" in early


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (report_samples.report({"auth.missing": "failed"}), "the verdict is failed"),
        (report_samples.report({"auth.missing": "error"}), "an error of the kit"),
        (report_samples.report(stopped="the budget is used up"), "not complete: the budget"),
        (report_samples.report(dict.fromkeys(["auth.missing"], "inconclusive")), None),
    ],
)
def test_only_a_complete_run_without_failures_is_certified(report: dict[str, Any], reason: str | None) -> None:
    found = statements.reason_against(report)
    assert found is None if reason is None else found is not None and reason in found


def test_a_run_that_judged_nothing_is_not_certified() -> None:
    nothing = report_samples.report()
    for clause in nothing["clauses"]:
        clause["status"] = "inconclusive"
    assert statements.reason_against(nothing | {"verdict": "inconclusive"}) == "no clause was judged"


# The command line.


def test_keygen_writes_a_pair_once(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOREL_SIGN_PASSPHRASE", "a passphrase")
    made = kit("keygen", tmp_path / "vendor")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "vendor").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "vendor").read_bytes()
    again = kit("keygen", tmp_path / "vendor")
    assert again.exit_code == 2
    assert "exists already; nothing was written" in again.output
    monkeypatch.delenv("VOREL_SIGN_PASSPHRASE")
    asked = kit("keygen", tmp_path / "another")
    assert asked.exit_code == 2
    assert "set VOREL_SIGN_PASSPHRASE" in asked.output
    assert not (tmp_path / "another").exists()


@pytest.fixture
def certify(
    kit: Kit, tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run `vorel-conformance server`, whose run gives this report at once."""
    profile = tmp_path / "target.json"
    profile.write_text(json.dumps({"keys": {"full": ["vapk_live_" + "0a1b2c3d4e5f" * 4]}}))

    def certified(report: Mapping[str, Any], *options: Any) -> Result:
        monkeypatch.setattr(server_run, "run", lambda *_, **__: dict(report))
        return kit("server", "http://127.0.0.1:9", "--target", profile, *options)

    return certified


def test_a_run_writes_its_certificate_and_verify_opens_it(
    kit: Kit, certify: Callable[..., Result], tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    report, path = tmp_path / "r.json", tmp_path / "c.jsonl"
    made = certify(report_samples.report(), "--json", report, "--certificate", path, "--sign-key", pair[0])
    assert made.exit_code == 0, made.output
    found = kit("verify", path, "--key", pair[1], "--report", report)
    assert found.exit_code == 0, found.output
    assert "86 passed" in found.output
    old = kit("verify", path, "--key", pair[1], "--max-age", "1h", "--report", pair[1])
    assert old.exit_code == 1
    assert "Does not hold: report" in old.output
    assert "Does not hold: age" in old.output
    failed = certify(
        report_samples.report({"auth.missing": "failed"}),
        *("--json", report, "--certificate", path, "--sign-key", pair[0]),
    )
    assert failed.exit_code == 1
    assert "No certificate: the verdict is failed" in failed.output
    assert not path.exists()  # nobody takes the old one for that of this run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--certificate", "c"], "needs --sign-key"),
        (["--certificate", "c", "--sign-key", "KEY"], "needs --json FILE"),
        (["--certificate", "c", "--sign-key", "KEY", "--json", "/dev/stdout"], "needs --json FILE"),
        (["--certificate", "c", "--sign-key", "KEY", "--json", "r", "--clauses", "auth"], "leave out --clauses"),
        (["--certificate", "c", "--sign-key", "PUB", "--json", "r"], "it is the public one"),
        (["--certificate", "c", "--sign-key", "none", "--json", "r"], "none: cannot be read: no such file"),
        (
            ["--certificate", "c", "--sign-key", "KEY", "--json", "r", "--subject", "none"],
            "give a file, or NAME@sha256",
        ),
        (["--sign-key", "KEY"], "go with --certificate"),
        (["--badge", "b.png"], "must end in .svg"),
    ],
)
def test_what_cannot_be_certified_is_told_before_the_run(
    certify: Callable[..., Result],
    pair: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"KEY": str(pair[0]), "PUB": str(pair[1])}
    found = certify(report_samples.report(), *(names.get(each, each) for each in options))
    assert found.exit_code == 2, found.output
    assert message in found.output


def test_keys_that_cannot_be_used_are_told(
    kit: Kit, tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = rsa.generate_private_key(65537, 2048)
    other = tmp_path / "rsa"
    other.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(keys.KeyFileError, match="not an Ed25519 key"):
        keys.load_signer(other, str)
    public = tmp_path / "rsa.pub"
    public.write_bytes(secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path = signed(pair, small(), tmp_path)
    for key, message in (
        (public, "not an Ed25519 key"),
        (pair[0], "a private key; keep it"),
        (path, "not a public key"),
    ):
        found = kit("verify", path, "--key", key)
        assert found.exit_code == 2
        assert message in found.output
    locked = tmp_path / "locked"
    keys.generate(locked, "right")
    keys.load_signer(locked, lambda: "right")
    for wrong in ("wrong", ""):
        with pytest.raises(keys.KeyFileError, match=r"passphrase is wrong|has a passphrase"):
            keys.load_signer(locked, lambda wrong=wrong: wrong)  # type: ignore[misc] # a default binds the loop's value


@pytest.mark.parametrize(
    ("statuses", "message", "colour"),
    [
        ({}, "86 of 86 clauses passed", "green"),
        ({"auth.missing": "failed"}, "1 of 86 clauses failed", "red"),
        ({"auth.missing": "inconclusive"}, "85 of 86 clauses passed", "yellow"),
        ({"auth.missing": "error"}, "no verdict", "lightgrey"),
        ({"tenancy.foreign-lead": "not_applicable"}, "85 of 85 clauses passed", "green"),
    ],
)
def test_badges_tell_the_verdict(
    certify: Callable[..., Result], tmp_path: Path, statuses: dict[str, str], message: str, colour: str
) -> None:
    for name in ("b.svg", "b.json"):
        certify(report_samples.report(statuses), "--badge", tmp_path / name)
    told = json.loads((tmp_path / "b.json").read_text())
    assert told == {"schemaVersion": 1, "label": "Vorel API", "message": message, "color": colour}
    svg = (tmp_path / "b.svg").read_text()
    assert svg.startswith("<?xml")
    assert message in svg


def test_the_page_shows_lines_that_work(
    certify: Callable[..., Result], kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line for a server is executed, with a report in the place of a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOREL_SIGN_PASSPHRASE", "")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "server.whl").write_bytes(b"wheel")
    (tmp_path / "openapi.json").write_bytes((ROOT / "openapi.json").read_bytes())
    ended = datetime.now(UTC) - timedelta(days=1)
    report = report_samples.report(started=ended.isoformat(timespec="seconds"))
    page = (ROOT / "docs" / "certificates.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("$ vorel-conformance ") for line in page.splitlines() if line.startswith("$ ")]
    done = []
    for line in lines:
        name, *arguments = shlex.split(line)
        if name != "client":  # its run is another one
            found = certify(report, *arguments[1:]) if name == "server" else kit(name, *arguments)
            assert found.exit_code == 0, f"{line}: {found.output}"
            done.append(name)
    assert done == ["keygen", "server", "verify", "server"]
