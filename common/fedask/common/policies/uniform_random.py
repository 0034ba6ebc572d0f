"""Random samples, the same number on every device: the control of every comparison."""

from fedask.common.policies.local_topk import LocalTopk


class UniformRandom(LocalTopk):
    """Equal share per device, at random: ``local-topk`` over random scores."""

    scorer: str | None = "random"
