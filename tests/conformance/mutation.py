"""Mutants that nobody thought of: the reference server with one thing changed at a time, by its syntax tree.

`make mutation` runs the kit against each, in process, and writes docs/mutation.md. A mutant is seen if a clause is
violated, or the run cannot be done at all. What survives is explained in mutation.toml: it is equivalent, or lawful. A
survivor without an explanation is a hole in the kit, and fails the command.

usage: python -m tests.conformance.mutation [--sample N] [--only TEXT] [--list] [--write]
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import re
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from vorel_conformance.http.target import TargetError
from vorel_conformance.spec import contract
from vorel_conformance.suite import fuzzing

HERE = Path(__file__).parent
SOURCES = ("server", "contract")
EXPLAINED = HERE / "mutation.toml"
PAGE = HERE.parents[1] / "docs" / "mutation.md"
FUZZ = 20  # as proof_runner does
LIMIT_S = 90.0  # for one mutant
#: What only a server on a port runs, what only variants use, and what a crash of this very code would do.
LEFT_OUT = {"__call__", "serve", "make", "Variant", "Running", "Reply", "Request", "Answer", "walk", "once_more"}
STATUSES = {
    200: (201, 400),
    400: (422, 404, 200),
    401: (403, 400),
    403: (401, 404),
    404: (403, 400),
    405: (404, 501),
    429: (503, 403),
    500: (503,),
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OTHER_NAMES = {"ceil": "floor", "floor": "ceil", "max": "min", "min": "max", "fullmatch": "match", "sorted": "list"}
NEUTRAL_CALLS = {"lower", "upper", "strip", "partition"}


@dataclass(frozen=True)
class Mutant:
    """One change: the `which`-th alternative of a node of a source."""

    source: str
    node: int  # in the order of ast.walk
    which: int
    name: str  # where and what, without line numbers, so that it outlives edits elsewhere


def tree_of(source: str) -> ast.Module:
    """Return the syntax tree of a module of the reference server."""
    return ast.parse((HERE / "reference" / f"{source}.py").read_text("utf-8"))


def alternatives(node: ast.AST) -> Iterator[ast.AST | None]:
    """Yield what may stand in place of a node. None: nothing."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=others):
            for other in COMPARISONS.get(type(op), ()):
                yield ast.Compare(left, [other()], others)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield ast.BinOp(left, ast.Sub(), right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            yield ast.BinOp(left, ast.Add(), right)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            for status in STATUSES.get(value, (value + 1, value - 1)):
                yield ast.Constant(status)
        case ast.Constant(value=str(text)):
            yield ast.Constant(f"{text}x")
            if "-" in text and text.replace("-", "").isalpha():
                yield ast.Constant(text.lower() if text != text.lower() else text.upper())
            for found in re.finditer(r"\{([0-9]+)\}", text):
                yield ast.Constant(f"{text[: found.start()]}{{{found[1]},}}{text[found.end() :]}")
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=[]) if name in NEUTRAL_CALLS:
            yield value
        case ast.Call(func=ast.Attribute(value=value, attr=name) as function, args=args, keywords=more):
            if another := OTHER_NAMES.get(name):
                yield ast.Call(ast.Attribute(function.value, another, ast.Load()), args, more)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=more) if name in OTHER_NAMES:
            yield ast.Call(ast.Name(OTHER_NAMES[name], ast.Load()), args, more)
        case ast.If(test=test, body=body, orelse=orelse) if not isinstance(test, ast.Compare | ast.BoolOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Raise() | ast.Expr(value=ast.Call()):
            yield None
        case ast.Dict(keys=keys, values=values):
            for index in range(len(keys)):
                yield ast.Dict(keys[:index] + keys[index + 1 :], values[:index] + values[index + 1 :])


def mutants() -> list[Mutant]:
    """Return all mutants, in the order of the sources."""
    found: list[Mutant] = []
    for source in SOURCES:
        tree = tree_of(source)
        order = {id(node): index for index, node in enumerate(ast.walk(tree))}
        seen: Counter[str] = Counter()
        for where, node in _inside(tree):
            for which, other in enumerate(alternatives(node)):
                name = f"{source}.{where}: `{_line(node)}` → `{_line(other) if other else 'nothing'}`"
                seen[name] += 1
                number = f" ({seen[name]})" if seen[name] > 1 else ""
                found.append(Mutant(source, order[id(node)], which, name + number))
    return found


def _line(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= 160 else f"{text[:80]} … {text[-70:]}"


def _inside(node: ast.AST, where: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the nodes that may change, with the name of their function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Assert) or _is_text(node, child):
            continue
        name = where
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if child.name in LEFT_OUT:
                continue
            name = f"{where}.{child.name}".lstrip(".")
        elif isinstance(child, ast.Assign | ast.AnnAssign) and not where:
            name = ast.unparse(child.target if isinstance(child, ast.AnnAssign) else child.targets[0])
        elif isinstance(child, ast.AnnAssign) and where == "Hooks":
            name = f"Hooks.{ast.unparse(child.target)}"
        yield name or "module", child
        yield from _inside(child, name)


def _is_text(node: ast.AST, child: ast.AST) -> bool:
    """Return True for a docstring, an annotation, a decorator, or the wording of a message."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RefusedError":
        return child in node.args[1:2] and isinstance(child, ast.Constant)
    if isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value.count(" ") >= 2:
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and child in node.decorator_list:
        return True
    if isinstance(node, ast.FunctionDef) and child is node.returns:
        return True
    if isinstance(node, ast.arg | ast.AnnAssign) and child is node.annotation:
        return True
    return isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)


def mutated(mutant: Mutant) -> ast.Module:
    """Return the syntax tree of a mutant."""
    tree = tree_of(mutant.source)
    target = list(ast.walk(tree))[mutant.node]
    other = list(alternatives(target))[mutant.which]

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            if node is target:
                return other or ast.Pass()
            return self.generic_visit(node)

    changed: ast.Module = ast.fix_missing_locations(Put().visit(tree))
    return changed


# --- running ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Running:
    """A process that judges a mutant."""

    mutant: Mutant | None
    pid: int
    verdict: int  # what it says comes from here
    ends: float


def judge(chosen: Sequence[Mutant | None], jobs: int = 1) -> Iterator[tuple[Mutant | None, str]]:
    """Yield what the kit says of each mutant, whichever is done: a word, and what shows it. None: no mutant.

    Each has a process of its own, which inherits what is slow to make, and a limit of time.
    """
    left, running = list(chosen), list[_Running]()
    while left or running:
        while left and len(running) < jobs:
            running.append(_started(left.pop(0)))
        for each in list(running):
            late = time.monotonic() > each.ends
            if late:
                os.kill(each.pid, signal.SIGKILL)
            if os.waitpid(each.pid, 0 if late else os.WNOHANG)[0]:
                running.remove(each)
                with os.fdopen(each.verdict) as found:
                    said = found.read()
                no_end = f"seen: the run does not end within {LIMIT_S:g} s"
                yield each.mutant, no_end if late else said or "seen: the process ended"
        time.sleep(0.01)


def _started(mutant: Mutant | None) -> _Running:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writer, "w") as out:
            out.write(_verdict(mutant))
        os._exit(0)
    os.close(writer)
    return _Running(mutant, pid, reader, time.monotonic() + LIMIT_S)


def _verdict(mutant: Mutant | None) -> str:
    try:
        if mutant:
            _put_in_place(mutant)
        from tests.conformance.in_process import inside
        from tests.conformance.proof_runner import LIMIT, WINDOW, broken
        from tests.conformance.proof_runner import judge as report_on

        report = report_on(inside(limit=LIMIT, window=WINDOW))
    except TargetError as error:
        return f"seen: before the run: {error}"
    except Exception as error:  # it cannot even start
        return f"seen: before the run: {type(error).__name__}: {error}"
    if found := sorted(broken(report)):
        return f"seen: {', '.join(found)}"
    unclear = [each["id"] for each in report["clauses"] if each["status"] == "inconclusive"]
    return f"unclear: {', '.join(unclear)}" if unclear else "survives"


def _put_in_place(mutant: Mutant) -> None:
    """Make the changed module the one that everybody imports. Nobody has imported the reference server yet."""
    package = "tests.conformance.reference"
    name = f"{package}.{mutant.source}"
    parent = ModuleType(package)
    parent.__path__ = [str(HERE / "reference")]
    parent.__package__ = package
    sys.modules[package] = parent
    module = ModuleType(name)
    module.__package__ = package
    module.__file__ = str(HERE / "reference" / f"{mutant.source}.py")
    sys.modules[name] = module
    setattr(parent, mutant.source, module)
    exec(compile(mutated(mutant), module.__file__, "exec"), module.__dict__)
    # What `from tests.conformance.reference import …` takes.
    text = (HERE / "reference" / "__init__.py").read_text("utf-8")
    exec(compile(text, "reference", "exec"), parent.__dict__)


def explanations() -> dict[str, dict[str, str]]:
    """Return the survivors that are explained, by name."""
    if not EXPLAINED.exists():
        return {}
    return {each["mutant"]: each for each in tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])}


def page(results: dict[str, str], known: dict[str, dict[str, str]]) -> str:
    """Return docs/mutation.md."""
    words = Counter(verdict.partition(":")[0] for verdict in results.values())
    kinds = Counter(known[name]["kind"] for name, verdict in results.items() if verdict == "survives" and name in known)
    lines = [
        "# Mutants of the reference server",
        "",
        "Generated by `make mutation`. Do not edit.",
        "",
        "The servers of the [kill table](kill-table.md) are faults that somebody thought of. These are not: an AST",
        "pass (`tests/conformance/mutation.py`) changes each comparison, condition, number, status, name of a header",
        "or member, and call of the reference server, one at a time. The kit runs against each, in process.",
        "",
        "| mutants | seen | unclear | survive: equivalent | survive: lawful | survive: unexplained |",
        "|---|---|---|---|---|---|",
        f"| {len(results)} | {words['seen']} | {words['unclear']} | {kinds['equivalent']} | {kinds['lawful']} "
        f"| {words['survives'] - kinds.total()} |",
        "",
        "*Seen*: a clause is violated, or the run cannot begin. *Unclear*: clauses are inconclusive, so that a run",
        "with `--complete` fails. *Equivalent*: no request can show the difference. *Lawful*: the contract allows it.",
        "",
    ]
    for title, word in (("Survivors", "survives"), ("Unclear", "unclear")):
        chosen = {name: verdict for name, verdict in results.items() if verdict.partition(":")[0] == word}
        if not chosen:
            continue
        lines += [f"## {title}", "", "| mutant | | why |", "|---|---|---|"]
        for name, verdict in chosen.items():
            told = known.get(name, {"kind": "**unexplained**" if word == "survives" else "", "why": ""})
            why = told["why"] or verdict.partition(": ")[2]
            lines.append(f"| {_cell(name)} | {told['kind']} | {_cell(why)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, help="only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only mutants with this text in their name")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="write docs/mutation.md")
    options = parser.parse_args(arguments)
    chosen = [each for each in mutants() if options.only in each.name]
    if options.sample and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    if options.list:
        click.echo("\n".join(each.name for each in chosen))
        return 0
    # The processes inherit what is slow to make.
    for operation in contract.load().operations:
        for valid in (True, False):
            fuzzing.bodies(operation, valid, 1, FUZZ)
    (unchanged,) = judge([None])
    assert unchanged[1] == "survives", f"the reference server itself must pass: {unchanged[1]}"
    known = explanations()
    found: dict[str, str] = {}
    for mutant, verdict in judge(chosen, options.jobs):
        assert mutant is not None
        found[mutant.name] = verdict
        click.echo(f"{verdict.partition(':')[0]:9} {mutant.name}  {verdict.partition(': ')[2][:100]}")
    results = {each.name: found[each.name] for each in chosen}
    unexplained = [name for name, verdict in results.items() if verdict == "survives" and name not in known]
    click.echo(dict(Counter(verdict.partition(":")[0] for verdict in results.values())))
    click.echo("\n".join(f"unexplained: {name}" for name in unexplained))
    if options.write:
        PAGE.write_text(page(results, known), encoding="utf-8")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
