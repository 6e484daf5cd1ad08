"""Forks: whatever other threads are doing and whatever is unsent, parent and child each deliver their own, once."""

from __future__ import annotations

import ast
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mparticle_kit_braze import MParticle
from mparticle_kit_braze.sandbox import Sandbox
from tests.support import run_python

from .support import FORK_OPTIONS, ids, log, run_worker, start_worker

Make = Callable[..., MParticle]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def databases_are_sound(state: Path) -> bool:
    """Whether SQLite finds nothing wrong with any file of a storage directory."""
    checks = []
    for path in state.rglob("*.db"):
        connection = sqlite3.connect(path)
        checks.append(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
        connection.close()
    return bool(checks) and all(checks) and not list(state.rglob("*.damaged-*"))


def test_fork_with_an_unsent_event(sandbox: Sandbox, state: Path) -> None:
    """What was unsent at the fork is the parent's; the child sends what it logs itself; nothing is sent twice."""
    assert ast.literal_eval(run_worker("fork_once", sandbox, state)) == [0, True]
    assert sorted(ids(sandbox)) == [1, 2, 3]


def test_fork_while_the_http_library_is_imported(sandbox: Sandbox, state: Path) -> None:
    """A child never finds a module that its parent was in the middle of importing: it can send."""
    assert ast.literal_eval(run_worker("fork_while_importing", sandbox, state)) == [0, True]
    assert sorted(ids(sandbox)) == [1, 2]


def test_fork_while_a_call_imports_a_module(tmp_path: Path) -> None:
    """Calls that import what is seldom needed do so under a lock that forks wait for: a child can import it too."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\nready = True\n")
    code = """
        import os, sys, threading
        from mparticle_kit_braze import forks, locks

        sys.path.insert(0, sys.argv[1])
        begun = threading.Event()

        def call():
            with locks.importing.held:
                begun.set()
                import slow_to_import

        thread = threading.Thread(target=call)
        thread.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            with locks.importing.held:
                import slow_to_import
            os._exit(0 if slow_to_import.ready else 1)
        thread.join()
        assert not locks.importing.is_mine()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    result = run_python(code, str(tmp_path), options=FORK_OPTIONS)
    assert (result.returncode, result.stderr) == (0, "")


def test_forks_while_other_threads_hold_locks(sandbox: Sandbox, state: Path) -> None:
    """Forks at any moment of logging, attributes, identity, sending and figures: no child hangs, all is sent once."""
    said = run_worker("fork_busy", sandbox, state, 12, timeout=60)
    accepted, codes, complete = ast.literal_eval(said)
    children = [1_000_000 * number + index for number in range(1, 13) for index in range(10)]
    assert (codes, complete) == ([0], True)
    assert sorted(ids(sandbox)) == sorted([*range(accepted), *children])
    assert sandbox.problems == []
    assert databases_are_sound(state)


def test_preforked_workers(make: Make, sandbox: Sandbox, state: Path) -> None:
    """A client made and closed before its workers: they deliver at their end, and the stored state stays whole."""
    said = run_worker("preload", sandbox, state, 4)
    assert ast.literal_eval(said) == [0, 0, 0, 0]
    client = make()
    log(client, [2])
    assert client.flush(timeout=20).complete
    served = [worker * 100 + request for worker in range(1, 5) for request in range(10)]
    assert sorted(ids(sandbox)) == sorted([0, 1, 2, *served])
    assert sandbox.profile("preloaded").custom_attributes == {f"worker-{number}": 9 for number in range(1, 5)}
    assert databases_are_sound(state)
    assert client.current_user is not None
    assert {f"worker-{number}" for number in range(1, 5)} <= set(client.current_user.attributes)


def test_stored_state_outlives_a_fork(make: Make, sandbox: Sandbox, state: Path) -> None:
    """A child whose parent closed its client, beside a third process on the directory: what each stores stays stored.

    SQLite loses writes, and files, when a connection that was open at a fork has its twin closed.
    """
    with start_worker("outlive", sandbox, state) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        assert parent.stdout.readline() == "set\n"
        between = make()
        between.set_user_attribute("third", "was here in between")
        between.close(timeout=10)
        out, err = parent.communicate("go\n", timeout=30)
    assert (parent.returncode, out, err) == (0, "", "")
    user = make().current_user
    assert user is not None
    assert {"parent", "child", "third", "child_again"} <= set(user.attributes)
    assert databases_are_sound(state)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(make: Make, sandbox: Sandbox, state: Path, method: str) -> None:
    """Children deliver by the next start although multiprocessing runs no exit handlers in them."""
    assert ast.literal_eval(run_worker("processes", sandbox, state, method)) == [0, 0]
    client = make()
    log(client, [3])
    assert client.flush(timeout=20).complete
    assert sorted(ids(sandbox)) == [0, 1, 2, 3]
