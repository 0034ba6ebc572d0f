"""The loss of a batch: the task's, weighed, and a shift for a device's few classes.

Called by the learner and its cohort.
"""

import torch
from torch.nn import functional

from fedask.common.task import Task


class Loss:
    """The loss that training minimises.

    Parameters
    ----------
    task
        Its loss, or cross entropy.
    tau
        Of the shift; 0 for none.
    """

    def __init__(self, task: Task, tau: float) -> None:
        self._given = task.loss
        self._classes = task.num_classes
        self._tau = tau

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the mean loss of a batch.

        Parameters
        ----------
        logits
            (n, c).
        targets
            (n,) class indices.
        weights
            (n,) what each sample weighs; None: all the same.
        """
        given = self._given
        if weights is None and given is not None:
            return given(logits, targets)
        if given is None:
            # Summed apart from the entropies: their own kernel adds in another order
            # when it is vectorised. The gradient is the same either way.
            losses = functional.cross_entropy(logits, targets, reduction="none")
        else:  # a user's own tells the loss of a batch: one sample makes one
            pairs = zip(logits[:, None], targets[:, None], strict=True)
            losses = torch.stack([given(*pair) for pair in pairs])
        if weights is None:
            return losses.mean()
        # In float64, where the order of adding does not reach the bits that are kept.
        shares = weights / weights.double().sum().float()
        return (losses * shares).double().sum().float()

    def shift(
        self, targets: torch.Tensor, weights: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Return tau * log(1 + class counts of the device), (c,), to add to logits.

        A device sees few classes; without the shift its update unlearns the others.

        References
        ----------
        Ren et al., "Balanced meta-softmax", NeurIPS 2020, equation 3; per device as in
        Cao et al., "Knowledge-aware federated active learning", ICCV 2023, where the
        log of an absent class is minus infinity; adding one keeps it finite.
        """
        if self._tau == 0.0:
            return None
        counts = torch.bincount(targets, weights, self._classes).float()
        return self._tau * torch.log1p(counts)
