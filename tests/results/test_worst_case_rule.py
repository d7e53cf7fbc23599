"""The pointwise worst case is chosen on one set of draws and valued on another."""

import numpy as np
import pytest
from made_runs import Made, columns

from rbench.results import samples
from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.results.worst_case import Rule, Scores, Unattacked, attack_scores, unattacked_scores

RANDOM = {"record_changes": {"stochastic": True}}


def only_row(root):
    (row,) = table(read_runs([root])).rows()
    return row


def test_of_three_attacks_each_sample_meets_its_worst_and_never_the_mean(tmp_path):
    made = Made(tmp_path)
    everything = [1, 1, 1, 1]
    made.done("a", clean=everything, robust=[0, 1, 1, 1])
    made.done("b", clean=everything, robust=[1, 0, 1, 1])
    made.done("c", clean=everything, robust=[1, 1, 0, 1])
    row = only_row(tmp_path)
    assert row["robust_accuracy"] == 0.25  # the mean over the attacks, and each attack alone, would say 0.75
    assert row["standard_accuracy"] == 1
    assert row["strongest_attack"] == "a"  # ties: the first


def test_a_sample_that_is_wrong_without_an_attack_is_not_robust(tmp_path):
    Made(tmp_path).done("weak", clean=[0, 1, 1, 1], robust=[1, 1, 1, 0])
    assert only_row(tmp_path)["robust_accuracy"] == 0.5


def test_a_random_row_is_chosen_by_select_and_valued_by_score(tmp_path):
    made = Made(tmp_path)
    same = {"clean": [[1, 1, 1, 1]], "clean_select": [[1, 1, 1, 1]], **RANDOM}
    made.done("a", robust=[[1, 1, 1, 0]], select=[[1, 0, 0, 0]], **same)
    made.done("b", robust=[[1, 1, 0, 0]], select=[[1, 1, 0, 0]], **same)
    made.done("c", robust=[[0, 0, 0, 0]], select=[[1, 1, 1, 1]], **same)
    row = only_row(tmp_path)
    assert row["robust_accuracy"] == 0.75  # a was chosen; the lowest score, 0 of c, is what luck made of it
    assert row["strongest_attack"] == "a", "nothing is chosen by a score draw"


def null_defence(rng, n, draws, p):
    return rng.random((n, draws)) < p


@pytest.mark.parametrize("clean_select", [True, False])
def test_the_null_defence_keeps_its_accuracy_under_five_attacks(tmp_path, clean_select):
    rng = np.random.default_rng(0)
    n, draws, p = 2000, 8, 0.9
    made, scores = Made(tmp_path), []
    clean = null_defence(rng, n, draws, p)
    chosen_by = {"clean_select": null_defence(rng, n, draws, p)} if clean_select else {}
    for attack in "abcde":
        robust = null_defence(rng, n, draws, p)
        scores.append(robust.mean(axis=1))
        made.done(attack, clean=clean, robust=robust, select=null_defence(rng, n, draws, p), **chosen_by, **RANDOM)
    row = only_row(tmp_path)
    assert row["robust_low"] <= p <= row["robust_high"]
    assert row["robust_high"] - row["robust_low"] < 0.03
    naive = np.min([clean.mean(axis=1), *scores], axis=0).mean()
    assert naive < 0.78
    assert row["robust_accuracy"] == pytest.approx(p, abs=0.015)


def test_the_worst_of_t_draws_of_a_null_defence_is_p_to_the_t(tmp_path):
    rng = np.random.default_rng(1)
    n, draws, p = 3000, 4, 0.9
    made = Made(tmp_path)
    shape = (rng, n, draws, p)
    clean, clean_select = null_defence(*shape), null_defence(*shape)
    for attack in "abc":
        made.done(
            attack,
            clean=clean,
            clean_select=clean_select,
            robust=null_defence(*shape),
            select=null_defence(*shape),
            cell_changes={"decide": "any", "draws": draws},
            **RANDOM,
        )
    row = only_row(tmp_path)
    assert row["robust_low"] <= p**draws <= row["robust_high"]
    assert row["decide"] == "any"
    assert row["draws"] == draws


def scored(**kinds):
    return samples_of(columns(**kinds))


def samples_of(written):
    import io

    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(samples.encode(written)))


def test_the_clean_image_is_valued_on_draws_that_did_not_choose_it():
    made = scored(clean=[[0, 1, 1, 1]], robust=[[1, 1, 1, 1]])
    split = unattacked_scores(made, random=True, decide="mean").clean
    assert split.select.tolist() == [0.5]
    assert split.value.tolist() == [1.0]
    assert split.correct.tolist() == [[True, True]]
    made = scored(clean=[[0, 1, 1, 1]], robust=[[1, 1, 1, 1]], clean_select=[[1, 1, 1, 1]])
    measured = unattacked_scores(made, random=True, decide="any").clean
    assert (measured.select.tolist(), measured.value.tolist()) == ([1.0], [0.75])


def test_one_draw_of_a_random_defence_never_drops_a_sample():
    made = scored(clean=[[0], [1]], robust=[[1], [1]])
    unattacked = unattacked_scores(made, random=True, decide="mean")
    assert unattacked == Unattacked(None, None)
    worst = Rule(True, "mean", unattacked).worst([attack_scores(made, random=True)])
    assert worst.value.tolist() == [1, 1]


def test_draws_of_different_number_are_each_counted_once():
    four = Scores(np.array([0.0, 1.0]), np.array([0.25, 1.0]), np.array([[1, 0, 0, 0], [1, 1, 1, 1]], bool))
    two = Scores(np.array([0.5, 0.5]), np.array([1.0, 0.5]), np.array([[1, 1], [1, 0]], bool))
    worst = Rule(True, "mean", Unattacked(None, None)).worst([four, two])
    assert worst.value.tolist() == [0.25, 0.5]
    assert worst.counted.sum(axis=1).tolist() == [4, 2]
    assert worst.estimate().value == 0.375
    assert worst.accuracy() == worst.estimate().value


def test_the_image_in_eight_bits_counts_where_it_is_right_less_often():
    made = scored(
        clean=[[1, 1], [1, 1]],
        robust=[[1, 1], [0, 0]],
        select=[[1, 1], [0, 0]],
        robust_8bit=[[0, 1], [1, 1]],
        robust_8bit_select=[[0, 0], [1, 1]],
    )
    found = attack_scores(made, random=True)
    assert found.value.tolist() == [0.5, 0.0]
    assert found.correct.tolist() == [[False, True], [False, False]]


def test_uniform_noise_is_a_candidate_of_a_row(tmp_path):
    made = Made(tmp_path)
    everything = [1, 1, 1, 1]
    made.done("a", clean=everything, robust=[0, 1, 1, 1], noise=[1, 1, 1, 0], noise_select=[1, 1, 1, 0])
    assert only_row(tmp_path)["robust_accuracy"] == 0.5
