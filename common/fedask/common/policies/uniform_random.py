"""Random samples, the same number on every device: the control of every comparison."""

from dataclasses import replace

from fedask.common.policies.local_topk import LocalTopk
from fedask.common.sections import AskConfig


class UniformRandom(LocalTopk):
    """Equal share per device, at random: ``local-topk`` over random scores."""

    def __init__(self, config: AskConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self.traits = replace(self.traits, scorer="random", first="random")
