"""The L1 ball cut by the pixel range: its exact projection."""

import torch
from torch import Tensor


def onto_l1_ball(delta: Tensor, room: Tensor, radius: Tensor) -> Tensor:
    """The nearest perturbations of norm at most `radius` that use no more than the room of any pixel, float64 [B, n].

    The projection is sign(d) * clamp(|d| - t, 0, room) for one threshold t >= 0 per sample (Croce & Hein 2021, arXiv 2103.01208,
    section 2). Its norm falls with t, linear between the 2n places where a pixel starts or stops to shrink, so t is found by sorting
    them, without iteration.

    Args:
        delta: [B, n] float64 perturbations.
        room: [B, n] float64 how far each pixel may go in the direction of `delta`, at least 0.
        radius: [B] float64 radii, at least 0.
    """
    size = delta.abs()
    starts, stops = (size - room).clamp(min=0), size
    places, order = torch.cat([starts, stops], 1).sort(dim=1)
    begins = torch.where(order < size.shape[1], -1.0, 1.0)
    slope = begins.cumsum(1).to(places.dtype)  # of the norm, beyond each place
    falls = slope[:, :-1] * places.diff(dim=1)
    whole = torch.minimum(size, room).sum(1, keepdim=True)
    norms = torch.cat([whole, whole + falls.cumsum(1)], 1)
    # The last place at which the norm is still above the radius; the threshold lies in the stretch after it.
    last = (norms > radius[:, None]).sum(1, keepdim=True).sub(1).clamp(min=0)
    over = norms.gather(1, last) - radius[:, None]
    threshold = places.gather(1, last) - over / slope.gather(1, last).clamp(max=-1)
    threshold = torch.where(whole > radius[:, None], threshold, 0.0)
    kept = torch.minimum((size - threshold).clamp(min=0), room)
    # The running sums round relative to the norm before the projection, which may be far above the radius.
    excess = (kept.sum(1, keepdim=True) / radius[:, None].clamp(min=1e-300)).clamp(min=1)
    return delta.sign() * kept / excess
