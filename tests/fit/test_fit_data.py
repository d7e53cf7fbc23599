import torch

from rbench.datasets.npz import from_arrays
from rbench.fit.data import augmented, read_samples, split
from rbench.fit.recipe import Augment


def dataset(x):
    return from_arrays(x, torch.arange(len(x)).numpy(), provenance={"source": "made"})


def test_bytes_are_kept_as_bytes_and_come_back_exactly():
    x = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8).numpy()
    samples = read_samples(dataset(x), torch.arange(5).numpy(), labelled=False)
    assert samples.images.dtype == torch.uint8
    assert samples.labels is None
    images, labels = samples.batch(torch.tensor([1, 4]), torch.device("cpu"))
    assert torch.equal(images, torch.from_numpy(x[[1, 4]]).float() / 255)
    assert labels is None


def test_other_pixels_are_kept_as_floats():
    x = torch.rand(5, 1, 4, 4).numpy()
    samples = read_samples(dataset(x), torch.arange(5).numpy(), labelled=True)
    assert torch.equal(samples.images, torch.from_numpy(x))
    assert samples.labels.tolist() == [0, 1, 2, 3, 4]


def test_what_is_held_out_is_not_trained_on_and_the_same_every_time():
    samples = read_samples(dataset(torch.rand(50, 1, 2, 2).numpy()), torch.arange(50).numpy(), labelled=True)
    kept, held_out = split(samples, 10)
    assert sorted([*kept.labels.tolist(), *held_out.labels.tolist()]) == list(range(50))
    assert len(held_out) == 10
    assert torch.equal(split(samples, 10)[1].labels, held_out.labels)


def test_images_are_moved_and_mirrored_each_by_its_own():
    images = torch.zeros(200, 1, 5, 5)
    images[:, 0, 2, 1] = 1  # one white pixel, left of the middle
    found = augmented(images, Augment(flip=True, shift=1), torch.Generator().manual_seed(0))
    assert (found.sum((1, 2, 3)) == 1).all()
    places = {divmod(int(image.argmax()), 5) for image in found[:, 0]}
    assert places == {(row, column) for row in (1, 2, 3) for column in (0, 1, 2, 3, 4)}
    assert torch.equal(augmented(images, Augment(), torch.Generator()), images)
