"""Breaks the rules of judging one line at a time and shows which tests notice: `python tests/mutants.py`.

Every known answer (docs/judging.md section 5, and what stands around it) has a line of the code that brings it about. Each mutant
takes one such line away in a copy of the package and runs the tests that must fail then. Prints the table of docs/measured.md; ends with 1
where a mutant survives. `tests/test_mutants.py` holds every line to the code, so that the table cannot grow stale.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
KNOWN, AUDIT, PATHS = (
    "engine/test_judged_known_answers.py",
    "engine/test_gradient_audit.py",
    "engine/test_gradient_paths.py",
)


class Mutant(NamedTuple):
    """One rule taken away.

    Attributes:
        rule: what is taken away, for readers.
        file: of the package.
        old: the text that brings it about, once in the file.
        new: what stands there instead.
        tests: a file of tests that must fail, and `-k` words to run fewer of them.
        also: (file, old, new) of other lines that would catch the same, taken away with it.
    """

    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, str]
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """Every (file, old, new)."""
        return ((self.file, self.old, self.new), *self.also)


FORGED, REJUDGE = "verifying/test_verify_forgeries.py", "verifying/rejudge.py"
AGAIN, PLANNED = "verifying/again.py", "verifying/planned.py"
WHOLE, MISBEHAVING = "verifying/test_verify_whole_folders.py", "verifying/test_verify_models.py"
CELL_FLAGS = "results/flags/of_cell.py"
ISOLATION, ARGUMENTS = "running/test_isolation.py", "test_evaluate_arguments.py"
WHERE, UNUSUAL = "engine/test_audit_where_attacks_go.py", "engine/test_honest_unusual.py"
FACES = "engine/test_two_faces.py"
PROPOSING = "engine/test_proposing.py"
SETTLED, CASCADE = "engine/settled.py", "running/test_cascade.py"
ANSWERS, IMAGES = "engine/answers.py", "engine/audited_images.py"
JUDGE, MANY, RANDOM = "engine/judge.py", "engine/best_of_many.py", "engine/test_random_defences.py"
EVALUATION, ORACLE, DEFENDED, AUDITED = (
    "engine/evaluation.py",
    "engine/oracle.py",
    "engine/defended.py",
    "engine/audit.py",
)

MUTANTS = (
    Mutant(
        "a random defence is scored on draws that the attack did not select on",
        JUDGE,
        "return select, self.score(images, clean) if self.random else select",
        "return select, select",
        (RANDOM, "fall_out_anew"),
    ),
    Mutant(
        "uniform noise in the ball is judged beside the attack",
        "engine/unattacked.py",
        "column.NOISE_PREDICTIONS: noise_score,",
        "column.NOISE_PREDICTIONS: noise_score * 0 - 1,",
        (KNOWN, "null_defence_is_reported"),
    ),
    Mutant(
        "a sample of a random defence leaves only after a test on never-used draws",
        MANY,
        "return (due > 0) & (asked.queries >= due)",
        "return (margins > 0).all(0)",
        (RANDOM, "nobody_leaves"),
    ),
    Mutant(
        "a sample that has passed its test goes on for as many queries again",
        MANY,
        "torch.maximum(2 * queries[passed], queries[passed] + LEAST_MORE)",
        "queries[passed]",
        (RANDOM, "goes_on"),
    ),
    Mutant(
        "every further test of a sample takes more draws",
        "engine/leaving.py",
        "chance = (1 - CONFIDENCE) / (test * (test + 1))",
        "chance = (1 - CONFIDENCE) / 2",
        (RANDOM, "draws_that_a_test_takes"),
    ),
    Mutant(
        "a test takes draws that were never used before",
        "engine/leaving.py",
        "self.used[rows[at]] = first + size",
        "pass",
        (RANDOM, "no_draw_of_a_test or never_right"),
    ),
    Mutant(
        "the best points of a random defence race on common fresh draws",
        MANY,
        "winner = race(self.judge, self.points, self.rank, self.clean)",
        "winner = self.rank.argmin(1)",
        (RANDOM, "best_points_race"),
    ),
    Mutant(
        "points with few draws are ranked on select draws that choose nothing in the end",
        MANY,
        "numbers = self.judge.select_draws + RANKED_ON * asked.queries[:, None]",
        "numbers = 0 * asked.queries[:, None]",
        (RANDOM, "ranked_by_eight"),
    ),
    Mutant(
        "a random row is chosen by select shares",
        "results/worst_case.py",
        "np.stack([c.select if random else c.value for c in candidates])",
        "np.stack([c.value for c in candidates])",
        ("results/test_worst_case_rule.py", "chosen_by_select or null_defence"),
    ),
    Mutant(
        "the image in eight bits is a candidate of the worst case",
        "results/worst_case.py",
        "return _chosen([point, rounded], random=random)",
        "return point",
        ("results/test_worst_case_rule.py", "eight_bits"),
    ),
    Mutant(
        "uniform noise is a candidate of the worst case",
        "results/worst_case.py",
        "return self._over(attacks, self.unattacked.clean, self.unattacked.noise)",
        "return self._over(attacks, self.unattacked.clean)",
        ("results/test_worst_case_rule.py", "uniform_noise"),
    ),
    Mutant(
        "images that are wrong without an attack are attacked as well, if the defence is random",
        "engine/propose.py",
        "torch.ones_like(clean_select, dtype=torch.bool) if judge.random else clean_select > 0",
        "clean_select > 0",
        (RANDOM, "wrong_without_an_attack"),
    ),
    Mutant(
        "BPDA puts a stand-in's gradient behind the purified image",
        ORACLE,
        "shown: Tensor = StraightThrough.apply(stand_in, purified)",
        "shown: Tensor = purified",
        (KNOWN, "shatterer"),
    ),
    Mutant(
        "auto leaves an exact gradient that is zero",
        AUDITED,
        "return self.reaches_input and self.useless_gradient_share < NO_GRADIENT",
        "return self.reaches_input",
        (KNOWN, "shatterer"),
    ),
    Mutant(
        "zero gradients raise a flag",
        CELL_FLAGS,
        'if share <= threshold("zero-gradients", "share"):',
        "if share <= 2:",
        (KNOWN, "shatterer or constant"),
    ),
    Mutant("gradients are averaged over EOT draws", ORACLE, "self.eot = eot", "self.eot = 1", (KNOWN, "eot_lowers")),
    Mutant(
        "single draws against a random defence raise a flag",
        CELL_FLAGS,
        'if not random or path == "blind" or averages:',
        "if True:",
        (KNOWN, "eot_lowers"),
    ),
    Mutant(
        "the ladder requires EOT of a random defence",
        "attacks/adaptive.py",
        "LEAST_EOT = 10",
        "LEAST_EOT = 1",
        ("attacks/test_adaptive.py", ""),
    ),
    Mutant(
        "the ladder goes around what has no gradient",
        "attacks/adaptive.py",
        'path: GradientPath = "exact" if measured.differentiable else "bpda"',
        'path: GradientPath = "exact"',
        ("attacks/test_adaptive.py", ""),
    ),
    Mutant(
        "the ladder goes on after attacks that ignore the purifier",
        "attacks/adaptive.py",
        "rung for rung in every if measured.norm in rung.attack.norms",
        'rung for rung in every if rung.path == "blind" or not measured.changes',
        ("engine/test_classic_breaks.py", "jpeg or resize"),
    ),
    Mutant(
        "a logit that is not finite fails the cell",
        "engine/driver.py",
        "        if some_broken:",
        "        if False:",
        (KNOWN, "nan_on"),
        (
            (
                "engine/judge.py",
                "        if broken.any():\n            samples = list(dict",
                "        if False:\n            samples = list(dict",
            ),
        ),
    ),
    Mutant(
        "a purifier that writes to its input is refused",
        DEFENDED,
        "if x._version != version:",
        "if False:",
        (KNOWN, "leaky"),
        (
            (
                "engine/audited_images.py",
                "if not torch.equal(before, shown.x):\n                raise",
                "if False:\n                raise",
            ),
            (
                "engine/audited_images.py",
                "if not torch.equal(before, shown.x):\n            raise",
                "if False:\n            raise",
            ),
            (EVALUATION, "if not torch.equal(clean.x, untouched):", "if False:"),
        ),
    ),
    Mutant(
        "a purifier that keeps state between calls is refused",
        ANSWERS,
        "def refuse_stateful(model: DefendedModel, few: Batch) -> NoReturn:\n",
        "def refuse_stateful(model: DefendedModel, few: Batch) -> NoReturn:\n    return\n",
        (KNOWN, "leaky"),
    ),
    Mutant(
        "purifier and backbone are put in eval mode",
        DEFENDED,
        "        self.eval()\n        self.draws_known",
        "        self.train()\n        self.draws_known",
        (KNOWN, "batch_norm"),
    ),
    Mutant(
        "what differs under the same seed is random",
        AUDITED,
        "is_random = spread > DIFFERS or not reproducible",
        "is_random = False",
        (KNOWN, "clock"),
    ),
    Mutant(
        "what differs under the same seed raises a flag",
        CELL_FLAGS,
        "return [] if reproducible else [Flag(",
        "return [] if True else [Flag(",
        (KNOWN, "clock"),
    ),
    Mutant(
        "a cut graph answers with a gradient of zeros",
        ORACLE,
        "gradient = torch.zeros_like(asked.x) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)",
        "gradient = torch.full_like(x, torch.nan) if gradient is None else gradient",
        (KNOWN, "constant"),
    ),
    Mutant(
        "PGD steps along the steepest direction of the norm",
        "attacks/pgd.py",
        "return gradient.sign()",
        "return gradient",
        (KNOWN, "closed_form"),
    ),
    Mutant(
        "the ball has the radius that was asked for",
        "threat/ball.py",
        "return per_sample(torch.as_tensor(self.eps, dtype=torch.float64, device=like.device), like)",
        "return per_sample(torch.as_tensor(self.eps, dtype=torch.float64, device=like.device), like) / 2",
        (KNOWN, "closed_form"),
    ),
    Mutant(
        "the exact gradient is compared with finite differences",
        CELL_FLAGS,
        "difference is None or difference <= limit:",
        "difference is None or difference <= 1e9:",
        (AUDIT, "wrong_gradient"),
    ),
    Mutant(
        "the audit looks at images under noise beside the clean ones",
        IMAGES,
        "moved.append(ball.uniform(part.x, drawn))",
        "moved.append(part.x)",
        (WHERE, "between_8_bit or under_noise or useless"),
    ),
    Mutant(
        "the audit shows as many images together as the attack",
        IMAGES,
        "count = max(size, min(len(sample), SAMPLES))",
        "count = min(len(sample), SAMPLES)",
        (WHERE, "large_batches"),
    ),
    Mutant(
        "samples are shown several times where the cell has few",
        IMAGES,
        "count = max(size, min(len(sample), SAMPLES))",
        "count = min(size, len(sample))",
        (WHERE, "large_batches"),
    ),
    Mutant(
        "auto leaves an exact gradient that is not finite",
        "engine/batch_gradients.py",
        "return _zero(gradient) | _broken(gradient)",
        "return _zero(gradient)",
        (WHERE, "useless"),
    ),
    Mutant(
        "the first questions are asked again at the end",
        ANSWERS,
        "    if not first.reproducible:\n        return",
        "    return",
        (WHERE, "turns"),
    ),
    Mutant(
        "moved images are asked about again after clean ones",
        AUDITED,
        "if max(differ(noisy, asked.logits(sets[0].few)), differ(clean, asked.logits(sets[1].few))) > DIFFERS:",
        "if False:",
        (WHERE, "remembers"),
        (
            (AUDITED, "_refuse_memory(model, ask, sets, first))\n", "None)\n"),
            (ANSWERS, "    if not first.reproducible:\n        return", "    return"),
        ),
    ),
    Mutant(
        "pixels out of range raise a flag",
        CELL_FLAGS,
        'if distance > threshold("out-of-range", "pixels")',
        "if distance > 1e9",
        (WHERE, "out_of_range"),
    ),
    Mutant(
        "gradients in large batches are held to those in small ones",
        "engine/doubts.py",
        "or of_cell.wrong_in_batches(path, seen.batch_gradient_error)",
        "or []",
        (WHERE, "wrong_in_large"),
    ),
    Mutant(
        "draws of a global generator are compared under one shape and one seed",
        AUDITED,
        "compared = _companions if other_draws else _orders_and_splits",
        "compared = _orders_and_splits",
        (WHERE, "global_generator or dropout"),
    ),
    Mutant(
        "a global generator that does not make random buys no lenience",
        AUDITED,
        "other_draws, dependence = moved and is_random, 0.0",
        "other_draws, dependence = moved, 0.0",
        (WHERE, "lenience"),
    ),
    Mutant(
        "finite differences have the shape of the gradient's batch where draws depend on it",
        "engine/points.py",
        "return 1 if self.same_shape else min(_BLOCK",
        "return min(_BLOCK",
        (WHERE, "global_generator or dropout"),
    ),
    Mutant(
        "the gradient in float32 is held to that in float64",
        "engine/slopes.py",
        "max(compared, relative(single, other))",
        "compared",
        (UNUSUAL, "lie"),
    ),
    Mutant(
        "float64 speaks for float32 only where the logits are the same",
        "engine/slopes.py",
        "if _agree(model, few, double, wide):",
        "if True:",
        (UNUSUAL, "lie"),
    ),
    Mutant(
        "16 bits inside raise a flag",
        CELL_FLAGS,
        'return [Flag(name="low-precision", detail=f"{narrow} inside the forward pass")] if narrow else []',
        "return []",
        (UNUSUAL, "low_precision"),
    ),
    Mutant(
        "squashed outputs are told by images of extreme contrast",
        "engine/outputs.py",
        "far = _saturated(model, images) if one_sum or unit else None",
        "far = None",
        ("engine/test_outputs.py", "squashed_outputs"),
    ),
    Mutant(
        "a replayed stage meets the same noise",
        DEFENDED,
        "return _replayed(lambda images: self.purify(images, replace(again)), x)",
        "return _replayed(lambda images: self.purify(images, again), x)",
        (PATHS, ""),
    ),
    Mutant(
        "stages are replayed and not kept",
        DEFENDED,
        "            x = _replayed(stage, x)\n        return x",
        "            x = stage(x)\n        return x",
        (PATHS, ""),
    ),
    Mutant(
        "noise that is fixed is the same in every rung",
        "threat/noise.py",
        "SampleNoise(self.seed % _SEEDS,",
        "SampleNoise(self.seed,",
        ("engine/test_fixed_noise.py", ""),
    ),
    Mutant(
        "noise is keyed by the sample",
        "threat/noise.py",
        "(self.ids + 1) * _GAMMA",
        "torch.ones_like(self.ids) * _GAMMA",
        ("threat/test_noise.py", "neighbouring"),
    ),
    Mutant(
        "noise is keyed by the query",
        "threat/noise.py",
        "(self.calls + 1) * _GAMMA + own",
        "own",
        ("threat/test_noise.py", "neighbouring"),
    ),
    Mutant(
        "noise is keyed by seed, role, draw and stream",
        "threat/noise.py",
        "shared = _mixed(shared + (number + 1) * _GAMMA)",
        "shared = _mixed(self.seed)",
        ("threat/test_noise.py", "neighbouring"),
    ),
    Mutant(
        "words of the noise are mixed",
        "threat/noise.py",
        "return bits ^ _shifted(bits, 31)",
        "return bits",
        ("threat/test_noise.py", "splitmix64"),
    ),
    Mutant(
        "normal draws follow the quantile within a cell of its table",
        "threat/quantile.py",
        "size = place * (size + slope)",
        "size = place * slope",
        ("threat/test_quantile.py", ""),
    ),
    Mutant(
        "normal draws have both signs",
        "threat/quantile.py",
        "(bits & -(2**31))",
        "(bits & 0)",
        ("threat/test_quantile.py", ""),
    ),
    Mutant(
        "starts draw what their norm uses",
        "threat/ball.py",
        '        if self.norm == "Linf":\n            return self.project(origin + (2',
        '        noise.normal(*shape)\n        if self.norm == "Linf":\n            return self.project(origin + (2',
        ("threat/test_ball.py", "no_more"),
    ),
    Mutant(
        "momentum gathers gradients over their L1 norm",
        "attacks/pgd.py",
        "gradient / torch.where(size > 0, size, 1.0)",
        "gradient",
        ("attacks/test_pgd.py", ""),
    ),
    Mutant(
        "an attack that does worse with more budget is flagged",
        "engine/convergence.py",
        "(not_converged, weaker_with_more)",
        "(not_converged,)",
        ("engine/test_convergence.py", "weaker"),
    ),
    Mutant(
        "a record says where its attack does worse with more budget",
        "verifying/files.py",
        "any(rise > threshold(",
        "any(rise > 100 * threshold(",
        ("verifying/test_recorded_convergence.py", ""),
    ),
    Mutant(
        "blind attacks that beat every other are flagged",
        "results/flags/of_row.py",
        'before, after, threshold("blind-wins", "margin")',
        'after, after, threshold("blind-wins", "margin")',
        ("results/test_row_flag_thresholds.py", "blind"),
    ),
    Mutant(
        "a batch of one is shown twice",
        DEFENDED,
        "            return self.classify(torch.cat([images, images]))[:1]",
        "            pass",
        ("engine/test_oracle.py", "shown_twice or alone"),
    ),
    Mutant(
        "figures of a record must follow from its samples",
        "verifying/files.py",
        "if said.n != len(values) or not np.allclose(given, recorded, rtol=0, atol=_ROUNDING):",
        "if False:",
        (FORGED, "accuracy_edited"),
    ),
    Mutant(
        "a verdict must be what the model says when it is judged again",
        AGAIN,
        "self._fault(rows[differ][~close],",
        "self._fault(rows[:0],",
        (FORGED, "survivor_claimed"),
    ),
    Mutant(
        "examples of our own attacks are held to the ball without tolerance",
        "engine/setup.py",
        "return max(attack.tolerance for attack in (self.attack, *(rung.attack for rung in self.rungs)))",
        "return 1.2e-7",
        (FORGED, "just_outside"),
    ),
    Mutant(
        "distances are measured again",
        AGAIN,
        "self._fault(rows[wrong],",
        "self._fault(rows[:0],",
        (FORGED, "distance_lowered"),
    ),
    Mutant(
        "weights must be those that were judged",
        REJUDGE,
        'if state_hash(model) != record.provenance.get("weights_sha256"):',
        "if False:",
        (FORGED, "other_weights"),
    ),
    Mutant(
        "flags are raised again",
        "verifying/reflag.py",
        "names = sorted((found.keys() | said.keys()) - unknown - _OF_OTHERS)",
        "names: list[FlagName] = []",
        (FORGED, "zero_gradients_forged"),
    ),
    Mutant(
        "survivors that fall to another seed belie the claim",
        "verifying/reattack.py",
        "if claim.value * (1 - least) >= claim.low:",
        "if True:",
        (FORGED, "was_lazy"),
    ),
    Mutant(
        "what was edited after it was verified is verified no more",
        "results/store.py",
        "            and holds(found, self.record_path(cell_id), self.samples_path(cell_id))\n",
        "",
        (FORGED, "after_it_was_verified"),
    ),
    Mutant(
        "a purifier that changed no image that was looked at is met blind and along BPDA all the same",
        "engine/ladder.py",
        "changes=type(model.purifier) is not Identity or seen.changes,",
        "changes=seen.changes,",
        ("attacks/test_adaptive.py", "when_it_was_looked_at"),
    ),
    Mutant(
        "a stand-in that misleads is dropped",
        "engine/surrogates.py",
        "return self.misleads and not self.kept",
        "return False",
        ("engine/test_surrogates.py", "does_not_raise"),
    ),
    Mutant(
        "stand-ins are tried where attacks go",
        "engine/surrogates.py",
        "for start in (moved, few.x)]",
        "for start in (few.x,)]",
        ("engine/test_surrogates.py", "misleads_is_found"),
    ),
    Mutant(
        "a black box runs where the gradients of a random defence are not trusted",
        "attacks/adaptive.py",
        "if measured.random and not measured.doubtful:",
        "if measured.random and measured.differentiable:",
        ("attacks/test_adaptive.py", "not_trusted"),
    ),
    Mutant(
        "no row ranks on gradients that mislead",
        "results/flags/of_row.py",
        "if black_box or not reasons:",
        "if True:",
        ("results/test_row_doubts.py", "need_a_black_box"),
    ),
    Mutant(
        "a black box on the bare backbone is none",
        "results/attacker.py",
        'if attack.gradient == "blind":  # what it asked was the bare backbone',
        "if False:",
        ("results/test_row_doubts.py", "bare_backbone_is_none"),
    ),
    Mutant(
        "a provisional row ranks below all others",
        "results/table.py",
        'return any(flag.name == "provisional" for flag in row.flags), not row.fields["verified"]',
        'return False, not row.fields["verified"]',
        ("results/test_row_doubts.py", "ranks_below"),
    ),
    Mutant(
        "a purifier that hands out clean images is flagged",
        CELL_FLAGS,
        'if share is None or share <= threshold("leaks", "share"):',
        "if True:",
        ("engine/test_leaks.py", "knows_the_clean or few_stored"),
    ),
    Mutant(
        "what restores images wherever they lie is no leak",
        "engine/leaks.py",
        "restored &= ~_is_restored(model.purify(rolled, replace(noise)), rolled, origin).cpu()",
        "pass",
        ("engine/test_leaks.py", "is_no_leak"),
    ),
    Mutant(
        "a standard accuracy that guessing gives is flagged",
        "results/undefended.py",
        "row.flags += [flag] if flag else []",
        "pass",
        ("results/test_row_doubts.py", "near_chance or bare_backbone_has"),
    ),
    Mutant(
        "cells that disagree about clean images make no row",
        "results/row_facts.py",
        "if not _same_without_attack(done[0], cell):",
        "if False:",
        ("results/test_row_doubts.py", "disagree"),
    ),
    Mutant(
        "every defended model has a backbone of its own",
        "running/components.py",
        "own = None if loaded is None else own_copy(loaded)",
        "own = loaded",
        (ISOLATION, "backbone_of_its_own"),
    ),
    Mutant(
        "a copy that shares something is none",
        "engine/copies.py",
        "if any(_remembers(value) for part in parts for value in _functions(part)):",
        "if False:",
        (ISOLATION, "cannot_be_copied"),
    ),
    Mutant(
        "what a purifier leaves on its backbone fails the cell",
        "engine/inventory.py",
        "return [*dict.fromkeys([*patched, *(change for part in self.parts for change in part.changes())])]",
        "return patched",
        (ISOLATION, "leaves_behind"),
    ),
    Mutant(
        "patches of torch are undone and named",
        "engine/patches.py",
        "return [*of_torch().put_back(), *of_judging().put_back()]",
        "return []",
        (ISOLATION, "imported_made_or_attached"),
    ),
    Mutant(
        "weights changed by attach fail the cell",
        "engine/defended.py",
        "if state_hash(self.backbone) != weights:",
        "if False:",
        (ISOLATION, "imported_made_or_attached"),
    ),
    Mutant(
        "modules that only a list holds are compared",
        "engine/inventory.py",
        "if self.numbers != now.numbers:",
        "if False:",
        (ISOLATION, "deep_in_a_list"),
    ),
    Mutant(
        "counters of a plug-in do not reach the next row",
        "running/components.py",
        "            package.reset()",
        "            pass",
        (ISOLATION, "counter"),
    ),
    Mutant(
        "settings of torch are put back around plug-in code",
        "process_state.py",
        "        setting.put(value)\n",
        "",
        (ISOLATION, "after_a_component_is_loaded"),
    ),
    Mutant(
        "grad mode is put back after every pass",
        "engine/modes.py",
        "            torch.set_grad_enabled(grad)\n",
        "",
        (ISOLATION, "turns_gradients_off"),
    ),
    Mutant(
        "SystemExit of a model is a failed cell",
        "running/worker.py",
        "    except BaseException as error:  # `SystemExit`",
        "    except Exception as error:  # `SystemExit`",
        (ISOLATION, "a_model_that_would_end"),
    ),
    Mutant(
        "evaluate refuses what a suite refuses",
        "suite/asked.py",
        "        raise argument_mistake(error, Asked) from None",
        '        terms = Asked.model_construct(**{**given, "eps": Asked(eps=0.1).eps})',
        (ARGUMENTS, "wrong_argument"),
    ),
    Mutant(
        "a radius beyond the images is refused",
        "suite/spec.py",
        "if eps.value > widest:",
        "if False:",
        (ARGUMENTS, "beyond_the_images"),
    ),
    Mutant(
        "a row must have every cell that the suite plans for it",
        PLANNED,
        "    if lacking:\n",
        "    if False:\n",
        (WHOLE, "strongest"),
    ),
    Mutant(
        "a table blocks a row that lacks a cell of its suite",
        "results/taken_out.py",
        "missing = [title for title in asked if",
        "missing = [title for title in asked[:0] if",
        (WHOLE, "blocked_by_name"),
    ),
    Mutant(
        "tables call a part what the suite calls it",
        PLANNED,
        "if called not in (read.label(part), portable(read.label(part))):",
        "if False:",
        (WHOLE, "renamed"),
    ),
    Mutant(
        "the radius that tables print is the radius",
        "verifying/files.py",
        "if _number(record.threat.eps_text) != eps:",
        "if False:",
        (WHOLE, "eps_text"),
    ),
    Mutant(
        "every column that flags come from must be there",
        "verifying/files.py",
        "if name in samples.column_names and samples[name].null_count:",
        "if False:",
        (WHOLE, "column_that_flags"),
    ),
    Mutant(
        "stored examples are those that the policy of the suite keeps",
        REJUDGE,
        "    if record.images in (None, usual):",
        "    if True:",
        (WHOLE, "withheld_by_a_policy"),
    ),
    Mutant(
        "pictures of a cell must be there",
        "verifying/regallery.py",
        '        yield f"{folder.gallery_path(cell_id)}: no pictures, and every run keeps those of its first samples"\n',
        "",
        (WHOLE, "pictures_that_are_gone"),
    ),
    Mutant(
        "survivors meet attacks of the verifier's choice",
        "verifying/reattack.py",
        "attacks = [_own_ladder(row[0]), *row]",
        "attacks = [*row]",
        (WHOLE, "useless"),
    ),
    Mutant(
        "stored examples are judged in a fresh process",
        REJUDGE,
        "ask(judge_row, ",
        "judge_row(",
        (MISBEHAVING, "remembers"),
    ),
    Mutant(
        "attacked images are judged before clean ones",
        AGAIN,
        "(_Cell.load, _Cell.examples, _Cell.unattacked, _Cell.once_more)",
        "(_Cell.load, _Cell.unattacked, _Cell.examples, _Cell.once_more)",
        (MISBEHAVING, "attacked_images"),
    ),
    Mutant(
        "whatever a model raises is a failed verification",
        "verifying/blame.py",
        "    except BaseException as error:",
        "    except ZeroDivisionError as error:",
        (MISBEHAVING, "whatever"),
    ),
    Mutant(
        "counters are compared by an audit",
        "verifying/rerun.py",
        "faults = [*_counters(samples, whole.arrays), *_rungs(record, again, whole)]",
        "faults = []",
        (WHOLE, "counters"),
    ),
    Mutant(
        "an edited table is noticed",
        "reports/leaderboards.py",
        "other = {name: text for name, text in left.items() if",
        "other = {name: text for name, text in left.items() if False and",
        (WHOLE, "edited_table"),
    ),
    Mutant(
        "survivors that fall by luck do not belie a random defence",
        "verifying/reattack.py",
        "fooled - perhaps",
        "fooled - 0",
        ("verifying/test_reattack_share.py", "by_chance"),
    ),
    Mutant(
        "a purifier is shown draws and not who asks for them",
        DEFENDED,
        "return noise if type(purifier) is FixedNoise else Draws(noise)",
        "return noise",
        (FACES, "draws_and_not_who"),
    ),
    Mutant(
        "the audit asks in the ways of attackers",
        AUDITED,
        "refuse_other_ways(model, ask, sets[0], first[0])",
        "None",
        (FACES, "depends_on_gradients"),
    ),
    Mutant(
        "attacked images are shown by the code of judge and attackers",
        EVALUATION,
        "refuse_two_faced(setup.judge, clean, proposals.x, right, reproducible=setup.audit.reproducible)",
        "pass",
        (FACES, "attacked_images"),
    ),
    Mutant(
        "batches of sizes that an attack had are compared",
        "running/span.py",
        "refuse_other_sizes(prepared.setup.model, prepared.setup.first)",
        "pass",
        (FACES, "of_sizes"),
    ),
    Mutant(
        "images that repeat in a batch are tried",
        AUDITED,
        "for rows in (repeated, order[-1:]):",
        "for rows in ():",
        (FACES, "repeat_in_a_batch or alone"),
    ),
    Mutant(
        "where answers depend on the batch the judge shows no image twice",
        "engine/setup.py",
        "stacked = not seen.batch_dependent",
        "stacked = True",
        (FACES, "set_up_by"),
    ),
    Mutant(
        "a gradient that breaks its promise at attacked images is not trusted",
        "results/flags/gradient_trust.py",
        'kept < threshold("provisional", "promise")',
        "False",
        (FACES, "attacked_images_alone"),
    ),
    Mutant(
        "squashed outputs are not trusted",
        "results/flags/gradient_trust.py",
        'isinstance(squashed := audit.get("not_logits"), str)',
        'not isinstance(squashed := audit.get("not_logits"), str | None)',
        (FACES, "squashed"),
    ),
    Mutant(
        "a row whose answers depend on the batch is provisional",
        "results/flags/gradient_trust.py",
        'if found > threshold("provisional", "batch") else None',
        "if False else None",
        (FACES, "whatever_attacked"),
    ),
    Mutant(
        "the trust in a gradient is measured again",
        "verifying/rejudge.py",
        "yield from trust_faults(said, found)",
        "pass",
        ("verifying/test_verify_cheats.py", "measured_again"),
    ),
    Mutant(
        "what was measured on attacked images is measured again",
        "verifying/rejudge.py",
        "faults += attacked_faults(found.prepared, one.record, answer.arrays, examples)",
        "pass",
        ("verifying/test_verify_cheats.py", "measured_again"),
    ),
    Mutant(
        "gradients of moved features hide no gradient of zero",
        "engine/ladder.py",
        "rung.attack.asks_gradient and rung.attack.loss not in DISPLACEMENTS",
        "rung.attack.asks_gradient",
        (FACES, "moved_features"),
    ),
    Mutant(
        "an image that settles a sample is judged once more",
        SETTLED,
        "fooled[at] = share_right(setup.judge.select(points, few), few.y) == 0",
        "fooled[at] = True",
        (CASCADE, "judged_again_settles_nobody"),
    ),
    Mutant(
        "behind a random defence nobody is settled",
        SETTLED,
        "and not setup.random and",
        "and",
        (CASCADE, "random_defence"),
    ),
    Mutant(
        "where answers depend on the batch nobody is settled",
        SETTLED,
        " and not setup.audit.batch_dependent",
        "",
        (CASCADE, "depend_on_the_batch"),
    ),
    Mutant(
        "attacks that others are compared with stand beside the cascade",
        "suite/cascade.py",
        'cell.gradient == "blind" or 1 in',
        "1 in",
        ("suite/test_cascade_order.py", "compared_with"),
    ),
    Mutant(
        "black boxes come after all gradients of a cascade",
        "suite/cascade.py",
        'return kinds[place] == "outputs", cost',
        "return False, cost",
        ("suite/test_cascade_order.py", "gradients_go_first"),
    ),
    Mutant(
        "a faster network that is another function is not asked",
        "engine/proposing.py",
        "if max(apart) < CLOSE else given",
        "if True else given",
        (PROPOSING, "another_function or gradient_differs"),
    ),
    Mutant(
        "an attack in half precision is called so",
        "suite/cell.py",
        'half = f"{label} (bf16)" if precision == "bf16-propose" else label',
        "half = label",
        ("running/test_half_precision.py", "tables_say_so"),
    ),
    Mutant(
        "the judge asks the backbone that was given",
        "engine/setup.py",
        "judge = Judge(model, ball,",
        "judge = Judge(model.with_backbone(proposing.backbone), ball,",
        (PROPOSING, "judge_and_third_party"),
    ),
    Mutant(
        "FAB proposes nothing beyond the ball",
        "attacks/fab.py",
        "inside=lambda state: state.ball.contains(state.x, state.origin),",
        "",
        ("attacks/test_fab.py", "nothing_beyond"),
    ),
    Mutant(
        "AutoAttack has the starts and targets of the package under L1",
        "attacks/autoattack_members.py",
        'short = version == "standard" and norm == "L1"',
        "short = False",
        ("attacks/test_autoattack.py", "every_version_has"),
    ),
    Mutant(
        "third-party code may round a sum over pixels by some units in its last place",
        "threat/terms.py",
        "tolerance * max(1.0, 8 * eps)",
        "tolerance",
        ("engine/test_judge.py", "rounding_of_a_sum"),
    ),
    Mutant(
        "the span of a worker that is gone is begun again",
        "running/runner.py",
        "task, why = lost.task, self.losses.last(lost)",
        "task, why = lost.task, self.losses.last(lost) or 'gone'",
        ("running/test_workers.py", "which_another_one_does"),
    ),
    Mutant(
        "conclusions wait for every span",
        "running/schedule.py",
        "job.active - 1, job.spans - 1\n        if not job.spans:",
        "job.active - 1, job.spans - 1\n        if True:",
        ("running/test_schedule.py", "conclusions_wait"),
    ),
    Mutant(
        "folders of other suites do not merge",
        "results/merge.py",
        "if here != there:",
        "if False:",
        ("results/test_merge.py", "other_suites"),
    ),
    Mutant(
        "where results may depend on the batch its size is left to no clock",
        "running/worker.py",
        "return seen.batch_dependent or seen.global_generator or not seen.reproducible",
        "return False",
        ("running/test_batch_size.py", "keeps_the_usual"),
    ),
    Mutant(
        "the model that was timed is not the one that is judged",
        "running/throughput.py",
        "components.forget_models()",
        "pass",
        ("running/test_batch_size.py", "that_was_timed"),
    ),
    Mutant(
        "what a refused model has answered is not believed again",
        "engine/audits.py",
        "            del self._parts[of_model]\n            raise",
        "            raise",
        ("engine/test_audits_once.py", "refused"),
    ),
    Mutant(
        "an earlier audit is believed only while the model answers alike",
        "engine/told.py",
        "return found if now.shape == answered.shape and differ(now, answered) <= DIFFERS else None",
        "return found",
        ("running/test_told_audits.py", "other_answers"),
    ),
    Mutant(
        "an earlier audit is one of the same weights",
        "engine/audits.py",
        'return {"weights": weights, "seed": noise.seed}',
        'return {"seed": noise.seed}',
        ("running/test_told_audits.py", "no_answer"),
    ),
    Mutant(
        "an earlier audit was made by the same code",
        "running/measured.py",
        '"code": measuring_code(),',
        "",
        ("running/test_told_audits.py", "all_that_it_depends"),
    ),
    Mutant(
        "nothing is kept of a model that answers otherwise under the same noise",
        "engine/told_audit.py",
        "if not seen.reproducible or (",
        "if (",
        ("running/test_told_audits.py", "never_answers"),
    ),
    Mutant(
        "nothing is kept of a model that is refused",
        "running/runner.py",
        "        self.folder.drop_audits(defended_id(cell.backbone, cell.purifier))",
        "        pass",
        ("running/test_told_audits.py", "never_answers"),
    ),
)


def main() -> int:
    """Runs all mutants, or those whose rule and file of tests contain the words given."""
    chosen = [mutant for mutant in MUTANTS if all(word in f"{mutant.rule} {mutant.tests[0]}" for word in sys.argv[1:])]
    survivors = 0
    print("| rule taken away | file | test that failed |\n|---|---|---|", flush=True)
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as place:
            killers = killed_by(mutant, Path(place))
        survivors += not killers
        shown = f"`{killers[0]}`" if killers else "**none**"
        print(f"| {mutant.rule} | `{mutant.file}` | {shown} |", flush=True)
    return int(survivors > 0)


def killed_by(mutant: Mutant, place: Path) -> list[str]:
    """Names of the tests that failed."""
    shutil.copytree(ROOT / "rbench", place / "rbench", ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutant.changes:
        broken = place / "rbench" / name
        broken.write_text(broken.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    file, words = mutant.tests
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-x",
        "-q",
        "--no-header",
        "--durations=0",
        "-o",
        "pythonpath=",  # the code under test is the broken copy, not this checkout
        str(ROOT / "tests" / file),
        "-k",
        words,
    ]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    found = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, check=False)
    lines = [line for line in found.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return [line.split("::")[1].split(" ")[0].split("[")[0] for line in lines if "::" in line]


if __name__ == "__main__":
    sys.exit(main())
