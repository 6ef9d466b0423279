"""The options of the product of spaces of constant curvature."""

from __future__ import annotations

from dataclasses import dataclass, field

from trajvae.errors import OptionError

MOST_SAMPLES = 1024
MOST_CURVATURE, MOST_RATE = 1e6, 1e6


@dataclass(frozen=True)
class ProductOptions:
    """Hold the options of a product space; `signature` is set by `--signature`."""

    signature: str = field(default="", metadata={"own": True, "help": "the option --signature; default: s1,e<rest>"})
    learn_curvature: bool = field(default=True, metadata={"unit": "", "help": "learn curvatures that are not given"})
    curvature_rate: float = field(
        default=1.0, metadata={"unit": "", "help": "learning rate of curvatures, in units of the networks'"}
    )
    burn_in: float = field(
        default=0.3, metadata={"unit": "share of epochs", "help": "how long curvatures stay as they start"}
    )
    min_curvature: float = field(default=1e-2, metadata={"unit": "", "help": "smallest |K| of a learned curvature"})
    max_curvature: float = field(default=4.0, metadata={"unit": "", "help": "largest |K| of a learned curvature"})
    n_samples: int = field(
        default=2,
        metadata={"unit": "", "help": "draws, in antithetic pairs, over which a KL without closed form is taken"},
    )
    min_scale: float = field(
        default=1e-4, metadata={"unit": "", "help": "smallest standard deviation of the posterior"}
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.min_curvature < self.max_curvature <= MOST_CURVATURE:
            raise OptionError(
                f"curvatures need 0 < min_curvature < max_curvature <= {MOST_CURVATURE:.0f}, "
                f"got {self.min_curvature} and {self.max_curvature}"
            )
        if self.n_samples < 1 or (self.n_samples > 1 and self.n_samples % 2):
            raise OptionError(f"n_samples must be 1 or an even number, got {self.n_samples}")
        if self.n_samples > MOST_SAMPLES:
            raise OptionError(f"n_samples must be {MOST_SAMPLES} or less, got {self.n_samples}")
        if not 0.0 < self.min_scale < 1.0:
            raise OptionError(f"min_scale must lie between 0 and 1, got {self.min_scale}")
        if not 0.0 <= self.burn_in <= 1.0:
            raise OptionError(f"burn_in must lie between 0 and 1, got {self.burn_in}")
        if not 0.0 <= self.curvature_rate <= MOST_RATE:
            raise OptionError(f"curvature_rate must lie between 0 and {MOST_RATE:.0f}, got {self.curvature_rate}")
