"""The house's rules, held against the source: who may load what, who may write what, what things are called.

The arrows between the rooms are contracts of import-linter in `pyproject.toml`; the rest reads syntax trees,
or imports modules in a fresh process and looks at what that did.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator

import pytest

from tests.sources import ROOMS, ROOT, Module, modules, names

LONGEST = 320
"""Lines of a module; a longer one has two subjects."""

FORBIDDEN_NAMES = {
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "base",
    "core",
    "manager",
    "service",
    "misc",
}

ALEMBIC_RUNS_IT = "store.migrations.env"
"""Not a module to import: Alembic executes it in the midst of a migration."""


def run_python(program: str, *arguments: str) -> str:
    """What a program prints in a fresh process."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


# ── who may import whom ─────────────────────────────────────────────────────────────────────────────────────


def test_the_arrows_between_the_rooms_point_down() -> None:
    said = run_python("from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])")
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", said)


def test_every_room_is_packed_and_under_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert project["hatch"]["build"]["targets"]["wheel"]["packages"] == list(ROOMS)
    assert project["importlinter"]["root_packages"] == list(ROOMS)
    bound = {room for contract in project["importlinter"]["contracts"] for room in _bound_by(contract)}
    assert bound == set(ROOMS)


def _bound_by(contract: dict[str, list[str]]) -> list[str]:
    return contract.get("source_modules") or contract["modules"]


ONLY_HERE = {
    "celery kombu billiard": ("worker/app.py", "api/queue.py"),
    "sqlalchemy alembic psycopg sqlite3 pysqlite3": ("store/",),
    "obstore": ("store/bucket.py",),
    "torch safetensors": ("models/", "worker/accelerator.py", "worker/child.py"),
    "numpy polars": ("models/", "api/charts/"),
    "onnx": ("models/graphs/",),
    "onnxruntime": ("models/prediction.py",),
    "sklearn": ("models/datasets/bundles.py",),
    "matplotlib": ("api/charts/",),
    "limits": ("api/quotas.py",),
    "fastapi starlette uvicorn prometheus_client": ("api/",),
    "typer rich httpx2": ("cli/",),
    "tensorboard": ("cli/event_files.py",),
    "mlflow": ("cli/runs.py",),
    "standardwebhooks httpcore2": ("worker/webhooks.py", "worker/outbound.py"),
    "pydantic_settings": ("store/settings.py",),
}


@pytest.mark.parametrize("packages", ONLY_HERE)
def test_a_library_is_known_in_its_own_place_only(packages: str) -> None:
    libraries, places = set(packages.split()), ONLY_HERE[packages]
    knowing = [one.place for one in modules() if libraries & {name.partition(".")[0] for name in one.imports}]
    assert knowing, "nobody uses it: drop the rule"
    assert [place for place in knowing if not place.startswith(places)] == []


def test_the_command_line_knows_of_us_only_the_settings() -> None:
    ours = {name for one in modules("cli") for name in one.imports if name in names()}
    assert {name for name in ours if not name.startswith("cli")} == {"store.settings"}


def test_imports_are_absolute() -> None:
    assert [(one.place, name) for one in modules() for name in one.imports if name.startswith(".")] == []


def test_modules_do_not_import_each_other_in_circles() -> None:
    needs = {one.name: {name for name in one.imports_at_once() if name in names()} for one in modules()}
    # Whatever nobody left needs, or needs nobody left, is in no circle.
    while free := [name for name, needed in needs.items() if not needed & needs.keys() - {name}]:
        for name in free:
            del needs[name]
    assert needs == {}


# ── what importing does ─────────────────────────────────────────────────────────────────────────────────────

LOADED = """
    import importlib, json, sys
    loaded = {}
    for who, modules in json.loads(sys.argv[1]).items():
        for name in modules:
            importlib.import_module(name)
        loaded[who] = [library for library in ("torch", "sqlalchemy") if library in sys.modules]
    print(json.dumps(loaded))
"""
WITHOUT_TORCH = {
    "cli": [one.name for one in modules("cli")],
    "api": [one.name for one in modules("api")],
    "store": [one.name for one in modules("store") if one.name != ALEMBIC_RUNS_IT],
    "the worker's door and the reconciler": ["worker.app", "worker.tasks", "worker.reconciler"],
    "specs and what is said of them": [
        f"models.{name}" for name in ("catalog", "complaints", "cost", "defaults", "diagnosis")
    ],
    "networks in use": ["models.graphs", "models.prediction", "models.datasets.rows"],
}


def test_what_must_start_quickly_loads_no_torch_and_a_command_no_sqlalchemy() -> None:
    """One process loads one after the other; who brings a library along is the first by whom it is there."""
    loaded = json.loads(run_python(LOADED, json.dumps(WITHOUT_TORCH)))
    assert [who for who, libraries in loaded.items() if "torch" in libraries] == []
    assert loaded["cli"] == [], "every command would take a third longer to start"


WATCHED = """
    import gc, importlib, json, os, sys, threading
    gc.disable()  # of a million objects that stay it takes seconds
    rooms, foreign, root = json.loads(sys.argv[1])
    for name in foreign:
        importlib.import_module(name)
    opened, writing = [], os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def watch(event, arguments):
        if event == "open":
            path, _, flags = arguments
            place = os.path.abspath(os.fsdecode(path)) if isinstance(path, (str, bytes)) else str(path)
            ours = place.startswith(root) and not place.startswith(sys.prefix) and os.path.exists(place)
            data = ours and not place.endswith((".py", ".pyc"))
            if data or flags & writing:
                opened.append(f"open {place}")
        elif event.startswith(("socket.", "sqlite3.connect", "subprocess.", "os.posix_spawn", "os.fork")):
            opened.append(event)

    sys.dont_write_bytecode = True
    sys.addaudithook(watch)
    for name in rooms:
        importlib.import_module(name)
    from sqlalchemy import Engine
    opened += [repr(thing) for thing in gc.get_objects() if isinstance(thing, Engine)]
    opened += [repr(thread) for thread in threading.enumerate() if thread is not threading.main_thread()]
    print(json.dumps(opened))
"""


def test_importing_opens_no_file_socket_engine_or_thread() -> None:
    """Libraries are loaded first and unwatched: what they do is theirs."""
    ours = [one.name for one in modules() if one.name != ALEMBIC_RUNS_IT]
    foreign = {name for one in modules() for name in one.imports_at_once()} - names()
    assert json.loads(run_python(WATCHED, json.dumps([ours, sorted(foreign), str(ROOT)]))) == []


# ── who may write what ──────────────────────────────────────────────────────────────────────────────────────


def nodes(kind: type[ast.AST], *rooms: str) -> Iterator[tuple[Module, ast.AST]]:
    return ((one, node) for one in modules(*rooms) for node in one.nodes if isinstance(node, kind))


def test_only_the_store_reads_the_environment() -> None:
    readers = {
        one.place for one, node in nodes(ast.Attribute) if node.attr in ("environ", "getenv", "environb")
    }
    readers |= {one.place for one in modules() if "os.environ" in one.imports}
    assert {place for place in readers if not place.startswith("store/")} == set()


SQL = re.compile(
    r"\s*(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM|CREATE TABLE|PRAGMA|BEGIN)\b", re.S
)


def test_only_the_store_speaks_sql() -> None:
    speaking = {
        one.place
        for one, node in nodes(ast.Constant)
        if isinstance(node.value, str) and SQL.match(node.value)
    }
    assert speaking
    assert {place for place in speaking if not place.startswith("store/")} == set()


def calls(name: str, *rooms: str) -> set[str]:
    """The places that call a method of this name."""
    called = nodes(ast.Call, *rooms)
    return {
        one.place for one, node in called if isinstance(node.func, ast.Attribute) and node.func.attr == name
    }


def test_only_the_edge_begins_transactions_and_nobody_commits_by_hand() -> None:
    assert calls("commit") == set()
    writers = calls("writing")
    assert {"api/routes/jobs.py", "worker/runner.py"} <= writers
    inside = {place for place in writers if place.startswith(("store/", "models/", "cli/"))}
    assert inside == {f"store/{name}.py" for name in ("backup", "keys", "migrate", "prune")}


UNBOUND = {
    "api/access.py": "finds out whose a key is, and hands out the database as that project sees it",
    "api/app.py": "opens and closes it, upgrades it, counts for operators",
    "api/bundles.py": "keeps the bundled datasets, whose files are all projects'",
    "api/deps.py": "declares it",
    "api/in_flight.py": "renews the keys of requests that are being answered, whosever they are",
    "api/routes/operation.py": "asks whether it is there, and who works",
}
"""Modules of the web that may touch the database that belongs to no project, and what for."""


def test_routes_ask_the_database_as_their_caller_sees_it() -> None:
    """`caller.database` carries the project into every query; nothing else may, and nothing may change it."""
    touching = {
        one.place
        for one, node in nodes(ast.Attribute, "api")
        if node.attr in ("database", "_database") and ast.unparse(node.value) not in ("caller", "settings")
    }
    assert touching - set(UNBOUND) == set()
    routes = [one for one in modules("api") if one.place.startswith("api/routes/")]
    assert routes
    for one in routes:
        called = [node.func for node in one.nodes if isinstance(node, ast.Call)]
        rebinding = [func for func in called if isinstance(func, ast.Attribute) and func.attr == "of"]
        assert not [func for func in rebinding if "database" in ast.unparse(func.value)], one.place


def test_no_route_lets_callers_in_by_itself() -> None:
    """What a request needs is said in one place; routes only ask whether somebody is an operator."""
    for one, node in nodes(ast.Attribute, "api"):
        if node.attr in ("scopes", "may") and one.place not in ("api/access.py", "api/routes/keys.py"):
            raise AssertionError(f"{one.place}:{node.lineno} looks at scopes")


def test_only_one_module_writes_status() -> None:
    """Of the modules with statements that change jobs, one alone names `status` as something to be set."""
    changing = {one.place for one, node in nodes(ast.Call, "store") if _on_jobs(node, "update", "insert")}
    keys = {one.place for one, node in nodes(ast.Dict, "store") if "status" in map(_literal, node.keys)}
    keywords = {one.place for one, node in nodes(ast.keyword, "store") if node.arg == "status"}
    assert "store/jobs/leases.py" in changing
    assert changing & (keys | keywords) == {"store/jobs/arrows.py"}


def test_every_change_of_a_job_is_conditional() -> None:
    """`jobs.update()` and `jobs.delete()` go on with `.where(…)`, in the state machine and elsewhere."""
    changes = {
        (one.place, node) for one, node in nodes(ast.Call, "store") if _on_jobs(node, "update", "delete")
    }
    conditional = {
        (one.place, node.value) for one, node in nodes(ast.Attribute, "store") if node.attr == "where"
    }
    assert changes
    assert [(place, node.lineno) for place, node in changes - conditional] == []


def _on_jobs(node: ast.Call, *methods: str) -> bool:
    return ast.unparse(node.func) in {
        f"{table}.{method}" for table in ("jobs", "tables.jobs") for method in methods
    }


def _literal(node: ast.AST | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def test_only_one_module_of_the_web_turns_exceptions_into_statuses() -> None:
    handlers = calls("add_exception_handler", "api") | calls("exception_handler", "api")
    assert handlers == {"api/errors.py"}
    raising = {one.place for one, node in nodes(ast.Name, "api") if node.id == "HTTPException"}
    assert raising <= {"api/errors.py"}


def test_nobody_answers_an_exception_with_a_status_of_his_own() -> None:
    answering = [
        (one.place, node.lineno)
        for one, handler in nodes(ast.ExceptHandler, "api")
        for node in ast.walk(handler)
        if isinstance(node, ast.Constant) and type(node.value) is int and 400 <= node.value < 600
    ]
    assert answering == []


# ── names and shapes ────────────────────────────────────────────────────────────────────────────────────────


def words(name: str) -> set[str]:
    """`JobManager`, `job_manager` → job, manager."""
    return set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_"))


def test_nothing_is_called_what_says_nothing() -> None:
    called = {(one.place, part) for one in modules() for part in one.name.split(".")}
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    called |= {(one.place, node.name) for one in modules() for node in one.nodes if isinstance(node, defined)}
    assert {(place, name) for place, name in called if words(name) & FORBIDDEN_NAMES} == set()


WRITTEN = [one for one in modules() if one.text.strip()]
"""The `__init__.py` of most packages is empty."""


def test_a_module_says_what_it_is() -> None:
    assert [one.place for one in WRITTEN if not ast.get_docstring(one.tree)] == []


def test_a_module_has_one_subject() -> None:
    lengths = {one.place: len(one.text.splitlines()) for one in WRITTEN}
    assert {place: length for place, length in lengths.items() if length > LONGEST} == {}


def test_annotations_are_not_evaluated() -> None:
    assert [one.place for one in WRITTEN if _has_code(one) and "__future__" not in one.imports] == []


def _has_code(one: Module) -> bool:
    """More than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in one.tree.body)


# Written in halves, or this file would find itself. A platform that lacks what is tested may be left out.
PUT_OFF = re.compile(
    r"\bTO" r"DO\b|\bFIX" r"ME\b|pytest\.sk" r"ip|mark\.xf" r"ail|mark\.sk" r"ip(?!if\(sys\.platform)"
)


def test_nothing_is_left_for_later_and_no_test_is_skipped() -> None:
    tests = [Module(path) for path in sorted((ROOT / "tests").rglob("*.py"))]
    left = [(one.place, found[0]) for one in [*modules(), *tests] if (found := PUT_OFF.search(one.text))]
    assert left == []
