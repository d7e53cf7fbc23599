"""Rows 43 to 60 of the table of faults: models that misbehave."""

import gc
import weakref

import pytest
import torch
from odd_models import CLASSES, does, images, judged, net, off_grid, outputs, provisional, ran
from small_models import Says
from torch import nn

from rbench.errors import CellFailed
from rbench.running import processes

PGD = "{name: pgd, steps: 3}"


# --- logits that are no numbers -----------------------------------------------------------------------------------


def test_043_nan_logits_of_moved_images_fail_the_cell_by_sample_and_are_no_number():
    with pytest.raises(CellFailed, match="sample 0: logits are NaN or infinite") as failure:
        judged(Says(lambda x: torch.where(off_grid(x), torch.nan, x)))
    assert set(failure.value.sample_ids) <= set(range(8))


def test_044_a_backbone_whose_logits_always_are_nan_is_told_before_the_first_cell(plugins, tmp_path):
    records, _, error = ran(plugins, tmp_path, backbones="linear, {name: linear, as: nans, spoilt: x * torch.nan}")
    assert records == {}
    assert error.component == "backbone 'nans'"
    assert "sample 0: logits are NaN" in str(error)


def test_045_logits_that_overflow_are_refused():
    with pytest.raises(CellFailed, match="NaN or infinite"):
        judged(backbone=outputs(lambda z: z * 1e38 * 1e3))


# --- outputs that hide the gradient -------------------------------------------------------------------------------


@pytest.mark.parametrize(("last", "named"), [(lambda z: z.softmax(1), "probabilities"), (torch.sigmoid, "sigmoids")])
def test_046_probabilities_are_flagged(last, named):
    found = judged(backbone=outputs(last), attack="fgsm")
    assert "not-logits" in found.flag_names
    assert found.audit["not_logits"] == named


@pytest.mark.parametrize(
    "last",
    [lambda z: 0 * z + torch.arange(CLASSES), lambda z: nn.functional.one_hot(z.argmax(1), CLASSES).to(z)],
    ids=["constant", "hard labels"],
)
def test_047_outputs_without_a_gradient_are_flagged_and_do_not_rank_without_a_black_box(last):
    found = judged(backbone=outputs(last), attack="fgsm")
    assert "zero-gradients" in found.flag_names
    assert provisional(found)


def test_048_rounding_is_attacked_by_bpda_and_flagged_where_it_is_not():
    quantised = Says(lambda x: (x * 7).round() / 7)
    assert judged(quantised, attack="fgsm").gradient == "bpda"
    assert "zero-gradients" in judged(quantised, attack="fgsm", gradient="exact").flag_names


# --- randomness ---------------------------------------------------------------------------------------------------


def test_049_randomness_that_is_not_declared_is_measured_and_judged_on_draws():
    found = judged(Says(lambda x: (x + 0.1 * torch.randn_like(x)).clamp(0, 1), stochastic=False), attack="fgsm")
    assert {"randomised", "no-eot"} <= found.flag_names
    assert {len(draws) for draws in found.samples["robust_predictions"]} == {4}


def test_050_randomness_that_is_only_declared_costs_no_draws_and_is_told(plugins, tmp_path):
    records, notes, _ = ran(
        plugins, tmp_path, purifiers=does("sure", "x * 0.9", "sure"), attacks="{name: pgd, steps: 2, eot: 5}"
    )
    found = records["sure"]
    assert (found.purifier.stochastic, found.protocol.draws, found.attack.eot) == (False, 1, 1)
    assert [note for note in notes if "'sure'" in note and "says that it is random" in note]


# --- batches, classes and what is returned ------------------------------------------------------------------------


def test_051_answers_that_depend_on_the_batch_are_flagged():
    assert "batch-dependent" in judged(Says(lambda x: (x - x.mean(0, keepdim=True)).abs()), attack="fgsm").flag_names


def test_051_batch_norm_is_judged_in_eval_mode():
    normed = nn.Sequential(nn.BatchNorm2d(1), net()).train()
    assert "batch-dependent" not in judged(backbone=normed, attack="fgsm").flag_names
    assert normed[0].num_batches_tracked == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_052_few_classes_get_as_many_targets_as_there_are_and_the_margin(classes):
    x, _ = images()
    labels = net(classes)(x).argmax(1)
    found = judged(
        backbone=net(classes), labels=labels, attack="apgd", loss="dlr-targeted", targets=9, steps=2, restarts=1
    )
    assert found.audit["targets"].startswith(f"{classes - 1} targets")
    assert "margin" in found.audit["loss"]


RETURNED = {
    "tuple": (lambda z: (z, z), "returned tuple, not logits", "one of its 2 items"),
    "list": (lambda z: [z], "returned list, not logits", "one of its 1 items"),
    "dict": (lambda z: {"out": z}, "returned dict, not logits", "'out'"),
    "none": (lambda z: None, "returned NoneType, not logits", "return"),
    "array": (lambda z: z.detach().numpy(), "returned ndarray, not logits", "torch.Tensor"),
    "shape": (lambda z: z[:, :, None], f"returned (16, {CLASSES}, 1), not logits of shape (16, classes)", ""),
    "length": (lambda z: z[:1], f"returned (1, {CLASSES}), not logits", ""),
    "integers": (lambda z: z.long(), "returned torch.int64, not logits of a floating type", ""),
    "complex": (lambda z: z + 0j, "returned torch.complex64, not logits", ""),
    "device": (lambda z: z.to("meta"), "on meta, not on cpu", "device"),
    "sparse": (lambda z: z.detach().to_sparse(), "torch.sparse_coo", ""),
}


@pytest.mark.parametrize("name", RETURNED)
def test_053_what_a_backbone_returns_is_held_to_logits_and_told_with_what_was_expected(name):
    last, problem, remedy = RETURNED[name]
    with pytest.raises(CellFailed) as failure:
        judged(backbone=outputs(last), n=16)
    assert problem in failure.value.problem
    assert remedy in (failure.value.remedy or "")
    assert failure.value.component == "the backbone", "the identity is to blame for nothing"


@pytest.mark.parametrize("name", ["tuple", "none", "integers", "device"])
def test_053_what_a_purifier_returns_is_held_to_images(name):
    last, problem, _ = RETURNED[name]
    with pytest.raises(CellFailed) as failure:
        judged(Says(last), n=16)
    assert problem.split(",")[0] in failure.value.problem.replace("images in [0, 1] ", "")
    assert failure.value.component == "purifier 'Says'"


def test_054_the_first_of_equal_logits_wins_and_ties_are_counted():
    found = judged(backbone=outputs(lambda z: 0 * z), labels=torch.tensor([0, 1] * 4), attack="fgsm")
    assert found.robust_accuracy.value == 0.5
    assert found.audit["ties"] == 8
    assert judged(attack="fgsm").audit["ties"] == 0


WRITES = {"in place": lambda x: x.mul_(0.5), "behind autograd's back": lambda x: x.data.mul_(0.5)}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("part", ["purifier", "backbone"])
def test_055_whoever_writes_to_its_input_is_refused_by_name(part, how):
    writes = Says(WRITES[how])
    made = {"purifier": writes} if part == "purifier" else {"backbone": nn.Sequential(writes, net())}
    with pytest.raises(CellFailed, match="modifies its input in place") as failure:
        judged(**made)
    assert failure.value.component == ("purifier 'Says'" if part == "purifier" else "the backbone")


# --- models that hang, die, raise or eat memory -------------------------------------------------------------------

DEADLY = {
    "sleeps": "[Path('asleep').touch(), time.sleep(1e6)]",
    "segfault": "__import__('ctypes').string_at(0)",
    "leaves": "os._exit(0)",
    "leaves-late": "os._exit(0) if x.requires_grad else x",
}


@pytest.fixture(scope="module")
def deadly(tmp_path_factory):
    """A run of purifiers that hang or end their process, one worker and a time limit; its records and notes."""
    from fake_plugins import Plugins, forget

    folder, patched = tmp_path_factory.mktemp("deadly"), pytest.MonkeyPatch()
    (folder / "site").mkdir()
    with patched.context() as here:
        here.syspath_prepend(str(folder / "site"))
        here.chdir(folder)
        forget()
        clock = processes.now
        # Once it sleeps, more time has passed than it may take, and less than until a worker counts as hung.
        here.setattr(processes, "now", lambda: clock() + 700 * (folder / "asleep").exists())
        here.setattr(processes, "BEAT", 0.2)
        purifiers = ", ".join(["identity", *(does(name, line) for name, line in DEADLY.items())])
        yield ran(Plugins(folder / "site"), folder, workers=1, timeout=600.0, purifiers=purifiers)
    forget()


def test_056_a_model_that_hangs_is_ended_and_costs_its_cell_alone(deadly):
    records, _, error = deadly
    assert error is None
    assert records["sleeps"].status == "failed"
    assert "took longer than --timeout 600 s" in records["sleeps"].error
    assert records["identity"].status == "done"


@pytest.mark.parametrize(
    ("name", "how"), [("segfault", "SIGSEGV"), ("leaves", "exit code 0"), ("leaves-late", "exit code 0")]
)
def test_059_a_model_that_ends_its_process_fails_its_cell_after_three_attempts(deadly, name, how):
    records, notes, _ = deadly
    assert records[name].status == "failed"
    assert how in records[name].error
    assert "3 times" in records[name].error
    assert len([note for note in notes if f"/{name}/" in note and "begins again" in note]) == 2
    assert records["identity"].status == "done"


def test_056_no_time_is_counted_before_a_worker_has_taken_its_task_up():
    from rbench.running.executors import Terms
    from rbench.running.processes import Processes, _Process

    workers = Processes([], Terms("auto", 4, 1, timeout=5.0))
    worker = _Process("cpu", None, None, task=object())
    assert workers._left(worker) == float("inf")
    workers._heard(worker, processes.TAKEN_UP, lambda task, count: None)
    assert 0 < workers._left(worker) <= 5


@pytest.mark.parametrize("asked", ["0", "-1", "nan", "inf", "soon", ""])
def test_056_a_time_limit_that_is_none_is_refused(asked):
    from parts import refused

    from rbench.running.timeout import timeout_of

    with refused(place="--timeout", found=repr(asked)):
        timeout_of(asked)
    assert timeout_of("2.5") == 2.5


def test_056_a_process_that_does_all_itself_takes_no_time_limit(plugins, tmp_path):
    _, _, error = ran(plugins, tmp_path, workers=0, timeout=5.0)
    assert (error.place, error.found) == ("--timeout", "--workers 0")


def test_057_what_a_model_raises_is_tried_once_more_and_then_fails_the_cell_with_its_samples(plugins, tmp_path):
    once, always = (
        does("once", "once(x, RuntimeError('passing'))"),
        does("always", "fails(RuntimeError('for good')) if x.requires_grad and len(x) == 8 else x"),
    )
    records, notes, _ = ran(plugins, tmp_path, purifiers=f"identity, {once}, {always}")
    assert records["once"].result_hash == records["identity"].result_hash
    assert [note for note in notes if "/once/" in note and "RuntimeError" in note and "once more" in note]
    assert records["always"].status == "failed"
    assert records["always"].error == "RuntimeError: for good"
    assert records["always"].failed_samples == tuple(range(8))
    assert records["always"].summary is None


@pytest.mark.parametrize(
    ("name", "most", "fits"), [("CUDA", 17, 16), ("bad_alloc", 17, 16), ("CPU", 17, 16), ("CPU", 6, 1)]
)
def test_058_whoever_says_that_memory_is_short_gets_smaller_batches_and_the_same_result(
    plugins, tmp_path, name, most, fits
):
    line = f"x if len(x) <= {most} else fails(SHORT['{name}'])"
    records, notes, _ = ran(plugins, tmp_path, batch_size=64, purifiers=f"identity, {does('hungry', line)}")
    assert records["hungry"].result_hash == records["identity"].result_hash
    assert records["hungry"].provenance["batch_size"] == fits
    assert [note for note in notes if f"goes on with batches of {fits}" in note]


def test_058_what_was_held_when_memory_ran_out_is_free_before_the_next_attempt():
    from rbench.running.tasks import Prepare
    from rbench.running.worker import Worker, _Told

    class Big:
        """In the place of a tensor."""

    held, alive = [], []

    class Once(Worker):
        def _done(self, task, on_done, parts):
            gc.collect()
            alive.append([one() is not None for one in held])
            if len(held) == 2:
                return "done"
            big = Big()
            held.append(weakref.ref(big))
            raise MemoryError

        def _size(self, task):
            return self._fits.get("row", 8)

        def _halve(self, task):
            self._fits["row"] = self._size(task) // 2

    task = Prepare.__new__(Prepare)
    assert Once(None, "auto", 8)._carried_out(task, _Told(lambda count: None), None) == "done"
    assert alive == [[], [False], [False, False]]


def test_060_a_slow_run_is_only_slow_its_time_left_follows_from_what_it_has_done():
    """No estimate of the plan is in it."""
    from rich.progress import Progress

    now = [0.0]
    bars = Progress(get_time=lambda: now[0], disable=True)
    task = bars.add_task("run", total=100)
    for _ in range(4):
        now[0] += 0.5
        bars.advance(task, 1)
    assert bars.tasks[0].time_remaining == pytest.approx(48, abs=20)
    for _ in range(5):
        now[0] += 5.0
        bars.advance(task, 1)
    assert bars.tasks[0].time_remaining > 200
