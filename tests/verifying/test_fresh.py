"""Questions asked in a fresh process."""

import subprocess
import sys

from small_runs import environment

SCRIPT = """\
from operator import add
from rbench.verifying.fresh import asked_afresh
print("run once")
print(asked_afresh(add, 40, 2))
"""


def test_a_script_that_asks_is_not_run_again_by_the_process_that_answers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "run once\n42\n"), done.stderr
