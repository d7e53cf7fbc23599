"""What is measured of every sample, by name: the columns of `rbench.results.samples`, and the arrays that they are made of."""

SAMPLE = "sample"
LABEL = "label"

CLEAN = "clean"
NOISE = "noise"
ROBUST = "robust"
ROBUST_8BIT = "robust_8bit"

CLEAN_SELECT = "clean_select"
NOISE_SELECT = "noise_select"
SELECT = "select"
ROBUST_8BIT_SELECT = "robust_8bit_select"

CLEAN_PREDICTIONS = "clean_predictions"
NOISE_PREDICTIONS = "noise_predictions"
SELECT_PREDICTIONS = "select_predictions"
ROBUST_PREDICTIONS = "robust_predictions"
ROBUST_8BIT_PREDICTIONS = "robust_8bit_predictions"

CLEAN_SELECT_PREDICTIONS = "clean_select_predictions"
NOISE_SELECT_PREDICTIONS = "noise_select_predictions"
ROBUST_8BIT_SELECT_PREDICTIONS = "robust_8bit_select_predictions"
"""Arrays alone: of these only the share of right draws is stored."""

DISTANCE = "distance"
LOSS_FIRST = "loss_first"
LOSS_LAST = "loss_last"
QUERIES = "queries"
ZERO_GRADIENTS = "zero_gradients"
ZERO_AT_START = "zero_at_start"
PASSED_BY = "passed_by"
OUTCOME = "outcome"

IMAGES = "images"
"""An array alone: adversarial images have a file of their own."""

DRAWS_OF = {
    CLEAN: CLEAN_PREDICTIONS,
    NOISE: NOISE_PREDICTIONS,
    ROBUST: ROBUST_PREDICTIONS,
    ROBUST_8BIT: ROBUST_8BIT_PREDICTIONS,
}
"""The columns with a value in [0, 1] for each sample, made by the decide rule of its score draws, and the array of classes [n, draws] that
each is made of."""

SELECT_DRAWS_OF = {
    CLEAN_SELECT: CLEAN_SELECT_PREDICTIONS,
    NOISE_SELECT: NOISE_SELECT_PREDICTIONS,
    SELECT: SELECT_PREDICTIONS,
    ROBUST_8BIT_SELECT: ROBUST_8BIT_SELECT_PREDICTIONS,
}
"""The columns with the share of right select draws, by which worst cases are chosen, and the array of classes of each."""

SHARES = (*DRAWS_OF, *SELECT_DRAWS_OF)
"""All columns in [0, 1]."""

PREDICTIONS = (
    CLEAN_PREDICTIONS,
    NOISE_PREDICTIONS,
    SELECT_PREDICTIONS,
    ROBUST_PREDICTIONS,
    ROBUST_8BIT_PREDICTIONS,
)
"""The classes that are stored."""

DECIDED = (SAMPLE, LABEL, *PREDICTIONS)
"""What was decided about every sample: what a result's hash is made of."""

DECIDED_BEFORE = tuple(name for name in DECIDED if name != ROBUST_8BIT_PREDICTIONS)
"""The same of a run that did not store the classes of 8-bit images."""
