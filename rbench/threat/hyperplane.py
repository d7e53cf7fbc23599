"""The nearest point of a hyperplane within the pixel range, in each norm: how far a linear classifier is from another class."""

import torch
from torch import Tensor

from rbench.threat.terms import Norm


def onto_hyperplane(x: Tensor, normal: Tensor, missing: Tensor, norm: Norm) -> Tensor:
    """The shortest change of an image in [0, 1] after which `normal @ change` is `missing`; as near as the range allows if none is.

    Every pixel moves in the direction that helps, at most to the end of the range. Under Linf all move by the same length, under L2 by
    lengths in proportion to their slope, under L1 those of the steepest slope move first (Croce & Hein 2020, arXiv 1907.02044, section
    2.2). What they gain together is piecewise linear in that length, so the length is found by sorting, without iteration.

    Args:
        x: [B, n] images in [0, 1].
        normal: [B, n] the normal vector of each hyperplane.
        missing: [B] what the change has to gain.
        norm: in which it is shortest.

    Returns:
        [B, n] the changes.
    """
    slope = normal.abs()
    way = normal.sign() * missing.sign()[:, None]
    room = torch.where(way > 0, 1 - x, torch.where(way < 0, x, 0.0))
    wanted = missing.abs()[:, None]
    size = _steepest_first(slope, room, wanted) if norm == "L1" else _together(slope, room, wanted, norm)
    return way * size


def _together(slope: Tensor, room: Tensor, wanted: Tensor, norm: Norm) -> Tensor:
    """How far each pixel moves, [B, n]: min(t * speed, room) for the smallest t that gains enough."""
    speed = torch.ones_like(slope) if norm == "Linf" else slope
    # The t at which a pixel arrives at the end of its room; one that does not move has arrived.
    arrives = torch.where(slope > 0, room / speed.clamp(min=torch.finfo(slope.dtype).tiny), 0.0)
    times, order = arrives.sort(dim=1)
    rate = (slope * speed * (slope > 0)).gather(1, order)
    # What is gained up to each time: by those that have arrived, and by those still moving.
    arrived = (slope * room).gather(1, order).cumsum(1)
    moving = (rate.sum(1, keepdim=True) - rate.cumsum(1)).clamp(min=0)
    gained = arrived + times * moving
    last = (gained < wanted).sum(1, keepdim=True)  # the stretch in which enough is gained; n if it never is
    before = torch.cat([torch.zeros_like(times[:, :1]), times], 1).gather(1, last)
    at_before = torch.cat([torch.zeros_like(gained[:, :1]), gained], 1).gather(1, last)
    speed_there = torch.cat([rate.sum(1, keepdim=True), moving], 1).gather(1, last)
    more = torch.where(speed_there > 0, (wanted - at_before) / speed_there.clamp(min=1e-30), torch.inf)
    t = torch.where(last == times.shape[1], torch.inf, before + more)
    return torch.minimum(torch.where(slope > 0, t * speed, 0.0), room)


def _steepest_first(slope: Tensor, room: Tensor, wanted: Tensor) -> Tensor:
    """How far each pixel moves, [B, n]: to the end of its room in the order of the slopes, the last one as far as needed."""
    steepest, order = slope.sort(dim=1, descending=True)
    gain = steepest * room.gather(1, order)
    before = gain.cumsum(1) - gain
    size = ((wanted - before) / steepest.clamp(min=1e-30)).clamp(min=0)
    size = torch.where(steepest > 0, torch.minimum(size, room.gather(1, order)), 0.0)
    return torch.zeros_like(size).scatter(1, order, size)
