"""What is measured of every sample, by name: the columns of `rbench.results.samples`, and the arrays that they are made of."""

SAMPLE = "sample"
LABEL = "label"

CLEAN = "clean"
CLEAN_SELECT = "clean_select"
NOISE = "noise"
SELECT = "select"
ROBUST = "robust"
ROBUST_8BIT = "robust_8bit"

CLEAN_PREDICTIONS = "clean_predictions"
NOISE_PREDICTIONS = "noise_predictions"
SELECT_PREDICTIONS = "select_predictions"
ROBUST_PREDICTIONS = "robust_predictions"
ROBUST_8BIT_PREDICTIONS = "robust_8bit_predictions"

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
    CLEAN_SELECT: CLEAN_SELECT,
    NOISE: NOISE_PREDICTIONS,
    SELECT: SELECT_PREDICTIONS,
    ROBUST: ROBUST_PREDICTIONS,
    ROBUST_8BIT: ROBUST_8BIT_PREDICTIONS,
}
"""The columns with a value in [0, 1] for each sample, and the array of classes [n, draws] that each is made of. The classes behind
`clean_select` are not stored, so they share its name."""

PREDICTIONS = (CLEAN_PREDICTIONS, NOISE_PREDICTIONS, SELECT_PREDICTIONS, ROBUST_PREDICTIONS)
"""The classes that are stored."""

DECIDED = (SAMPLE, LABEL, *PREDICTIONS)
"""What was decided about every sample: what a result's hash is made of."""
