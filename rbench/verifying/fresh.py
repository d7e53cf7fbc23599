"""A fresh process for every row: what a model was shown in this one, it cannot remember there.

One server is started, with torch imported and nothing run; it forks for each question, which takes no time, or, where a system cannot
fork, answers one question and ends. What the process of a question prints goes to stderr.
"""

import atexit
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rbench.errors import CellFailed

_SERVER: list[subprocess.Popen[bytes]] = []


def asked_afresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a fresh process with the import path, environment and working directory of this one.

    Args:
        function: found there by its module and name.
        arguments: that pickle.

    Raises:
        CellFailed: the process ended without an answer.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="rbench-") as name:
        question, answer = Path(name) / "question", Path(name) / "answer"
        place = function.__module__, function.__qualname__
        question.write_bytes(pickle.dumps((sys.path, str(Path.cwd()), dict(os.environ), torch.get_num_threads())))
        (Path(name) / "work").write_bytes(pickle.dumps((place, arguments)))
        try:
            ended = _told(str(question))
        except BaseException:
            _stop()
            raise
        if not answer.is_file():
            raise CellFailed(f"the fresh process that judged it ended without an answer ({ended})")
        return pickle.loads(answer.read_bytes())


def _told(question: str) -> str:
    server = _started()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{question}\n".encode())
    server.stdin.flush()
    return server.stdout.readline().decode().strip() or f"exit code {server.wait()}"


def _started() -> subprocess.Popen[bytes]:
    if _SERVER and _SERVER[0].poll() is None:
        return _SERVER[0]
    _stop()
    line = [sys.executable, "-m", "rbench.verifying.fresh"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    # A session of its own, so that whatever it forked can be ended with it.
    _SERVER.append(subprocess.Popen(line, start_new_session=True, env=environment, **pipes))  # type: ignore[call-overload]
    return _SERVER[0]


@atexit.register
def _stop() -> None:
    while _SERVER:
        server = _SERVER.pop()
        if server.poll() is None:
            if hasattr(os, "killpg"):
                os.killpg(server.pid, signal.SIGKILL)
            else:
                server.kill()
        server.wait()
        for pipe in (server.stdin, server.stdout):
            if pipe is not None:
                pipe.close()


def _answer(question: Path) -> None:
    path, folder, environment, threads = pickle.loads(question.read_bytes())
    sys.path[:] = path
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    import torch

    torch.set_num_threads(threads)
    (module, name), arguments = pickle.loads((question.parent / "work").read_bytes())
    found = getattr(import_module(module), name)(*arguments)
    part = question.parent / "part"
    part.write_bytes(pickle.dumps(found))
    part.rename(question.parent / "answer")


def _serve() -> None:
    import rbench.verifying.again  # noqa: F401 - torch and the engine, once for all questions

    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = Path(line.rstrip("\n"))
        if not hasattr(os, "fork"):
            _answer(question)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            try:
                _answer(question)
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.write(f"{'exit code' if code >= 0 else 'signal'} {abs(code)}\n")
        said.flush()


if __name__ == "__main__":
    _serve()
