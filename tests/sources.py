"""The source code as data: every module of the rooms, its syntax tree and what it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("api", "cli", "models", "store", "worker")


@dataclass(frozen=True)
class Module:
    """A Python file of a room."""

    path: Path

    @property
    def place(self) -> str:
        """`store/jobs/arrows.py`"""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        """`store.jobs.arrows`; a package goes by its own name."""
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        return self.place.partition("/")[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of the tree, walked through once for the many who look for something in it."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every module that it names anywhere, lazily or for types only, too."""
        return frozenset(name for node in self.nodes for name in _imported(node))

    def imports_at_once(self) -> set[str]:
        """The modules that are loaded while it is being imported."""
        return {name for node in _executed(self.tree) for name in _imported(node)}


@cache
def modules(*rooms: str) -> tuple[Module, ...]:
    """The modules of these rooms, of all rooms by default."""
    if rooms:
        return tuple(one for room in rooms for one in modules() if one.room == room)
    return tuple(Module(path) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


@cache
def names() -> frozenset[str]:
    """The dotted names of all modules of the rooms."""
    return frozenset(module.name for module in modules())


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = "." * node.level + (node.module or "")
        # What is imported from a package may be a module of it.
        inside = [f"{package}.{alias.name}" for alias in node.names]
        yield from (name if name in names() else package for name in inside)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The statements that run on import: neither functions' bodies nor what is for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed(child)
