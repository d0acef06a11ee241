"""The commands `diff` and `matrix`, which put reports side by side, and `drift`, which does so with documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vorel_conformance.cli.common import FAILED, FILE, USAGE, needs_extra, say, stop

if TYPE_CHECKING:
    from vorel_conformance.spec.drift.change import Change
    from vorel_conformance.spec.drift.sentences import Lost


@click.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--strict", is_flag=True, help="Exit 1 on new warnings too, and on clauses that are no longer judged.")
def diff(old: Path, new: Path, strict: bool) -> None:
    """Show what changed between the JSON reports OLD and NEW. Exit 1 if a clause that did not fail fails now.

    What failed before as well is shown, and does not count: a team with old failures can gate on new ones.
    """
    needs_extra()
    from vorel_conformance.report import difference
    from vorel_conformance.report.model import LOOKS, number_of, shorten
    from vorel_conformance.runs import report_file

    try:
        reports = [report_file.read(path) for path in (old, new)]
        found = difference.changes(*reports)
    except (report_file.ReportError, ValueError) as error:
        stop(USAGE, str(error))
    for path, report in zip((old, new), reports, strict=True):
        say(f"{path}: {report['target']}, {report['started'][:10]}, {number_of(len(report['clauses']), 'clause')}")
    for name, noun in (("contract", "sha256"), ("tool", "version")):
        if reports[0][name][noun] != reports[1][name][noun]:
            one, other = (str(report[name][noun])[:12] for report in reports)
            say(f"  The {'kit' if name == 'tool' else 'contract'} is another one: {one}, now {other}.")
    for kind, title in difference.KINDS.items():
        of_kind = [change for change in found if change.kind == kind]
        if not of_kind:
            continue
        click.echo(f"\n{title}: {len(of_kind)}")
        for change in of_kind:
            before, now = (LOOKS[each].word if each else "not asked" for each in (change.before, change.now))
            said = now if before == now else f"{before}, now {now}"
            sign = LOOKS[change.now or "not_applicable"].sign
            say(f"  {sign} {change.clause['id']} ({change.clause['level']}): {said}")
            for violation in change.clause["violations"][:1] if kind == "broken" else ():
                say(f"      {shorten(violation['message'], 300)}")
    worse = difference.regressions(found, strict=strict)
    click.echo(f"\n{number_of(len(worse), 'regression')}.")
    if worse:
        raise SystemExit(FAILED)


@click.command()
@click.argument("reports", nargs=-1, required=True, metavar="[NAME=]FILE...")
@click.option("--html", "html_file", type=FILE, help="Write the matrix as one HTML page.")
@click.option("--markdown", "markdown_file", type=FILE, help="Write it as Markdown.  [default: print it]")
def matrix(reports: tuple[str, ...], html_file: Path | None, markdown_file: Path | None) -> None:
    """Put JSON reports side by side: implementations across, clauses down. NAME is what readers see of a report."""
    needs_extra()
    from vorel_conformance import report
    from vorel_conformance.report import matrix as side_by_side
    from vorel_conformance.runs import report_file

    try:
        columns = [side_by_side.Implementation(name, report_file.read(path)) for name, path in map(_named, reports)]
        made = {html_file: side_by_side.page(columns), markdown_file: side_by_side.markdown(columns)}
        report.check_writable(html_file, markdown_file)
        for path, text in made.items():
            if path is not None:
                report.replace(path, text.encode("utf-8", "replace"))
    except (report_file.ReportError, ValueError, OSError) as error:
        stop(USAGE, str(error))
    if html_file is None and markdown_file is None:
        click.echo(side_by_side.markdown(columns), nl=False)


def _named(text: str) -> tuple[str, Path]:
    """Return name and path of `NAME=FILE`, or of FILE, which is then named like the file."""
    name, found, path = text.partition("=")
    return (name, Path(path)) if found and name and not Path(text).exists() else (Path(text).stem, Path(text))


@click.command()
@click.argument("new", type=FILE, metavar="NEW-OPENAPI")
@click.option("--against", "old", type=FILE, help="The older document.  [default: the one that the kit certifies]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def drift(new: Path, old: Path | None, as_json: bool) -> None:
    """Show what changed from the vendored document to NEW-OPENAPI (JSON or YAML), and whom that breaks.

    Also the clauses whose sentence the new document does not have any more, and its operations without a clause. Exit 1
    if something breaking changed, for clients or for servers.
    """
    from vorel_conformance.spec import contract
    from vorel_conformance.spec.drift import document, operations, sentences
    from vorel_conformance.spec.drift.change import DriftError

    path = new
    try:
        now = document.read(new)
        path = old or contract.find()
        before = document.read(path)
        path = new
        changes = operations.changes(before, now)
        lost, unclaimed = sentences.lost(now), sentences.unclaimed(now)
    except DriftError as error:
        stop(USAGE, f"{path}: {error}")
    if as_json:
        told = {
            "changes": [
                {**vars(each), "breaks": [who for who in ("clients", "servers") if getattr(each, f"breaks_{who}")]}
                for each in changes
            ],
            "lost_sentences": [vars(each) for each in lost],
            "operations_without_clause": unclaimed,
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print_drift(changes, lost, unclaimed)
    if any(each.breaks_clients or each.breaks_servers for each in changes):
        raise SystemExit(FAILED)


def _print_drift(changes: list[Change], lost: list[Lost], unclaimed: list[str]) -> None:
    from vorel_conformance.report.model import shorten

    for title, of_kind in (
        ("Breaking for clients", [each for each in changes if each.breaks_clients]),
        ("Breaking for servers", [each for each in changes if each.breaks_servers]),
        ("Breaking for nobody", [each for each in changes if not each.breaks_clients and not each.breaks_servers]),
    ):
        click.echo(f"{title}: {len(of_kind)}")
        for change in of_kind:
            say(f"  {change.where}: {change.what}")
            say(f"      #{change.pointer}")
    click.echo(f"Sentences of clauses that are not there any more: {len(lost)}")
    for each in lost:
        say(f"  {each.clause}: {each.why}: #{each.pointer}")
        say(f"      {shorten(each.quote, 200)}")
    click.echo(f"Operations without a clause: {len(unclaimed)}")
    for operation in unclaimed:
        say(f"  {operation}")
