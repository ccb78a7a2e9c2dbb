"""What an error says of a layer under a dtype policy."""

import contextlib
import re
from collections.abc import Iterator

from tfk_patterns.parity.errors import failure_of, in_one_line
from tfk_patterns.parity.outcome import Failure, Skip


@contextlib.contextmanager
def of_policy(policy: str, where: str) -> Iterator:
    """Makes of an error a `Failure` of `dtype_policy`, or a `Skip` where TensorFlow is at fault."""
    try:
        yield
    except (Failure, Skip):
        raise
    except Exception as error:
        raise explained(error, policy, where) from error


def explained(error: Exception, policy: str, where: str) -> Exception:
    """What an error says of a layer under a policy: a `Failure`, or a `Skip`."""
    if _NO_KERNEL.search(str(error)):
        text = in_one_line(error, 160)
        return Skip(f"TensorFlow lacks an operation that it uses in that dtype ({text})")
    return failure_of(
        error,
        f"the layer cannot be called under the dtype policy {policy}",
        f"{policy}, {where}",
        "Everything that meets the inputs in `call` must be in `self.compute_dtype`: constants, "
        "masks and random numbers take `dtype=x.dtype`, and `tf.cast(..., x.dtype)` the rest. "
        "Keras casts float inputs to it: where they must stay as they are, as ids or coordinates "
        "in floats must, give `autocast=False` to `super().__init__`.",
        check="dtype_policy",
    )


_NO_KERNEL = re.compile(
    r"No OpKernel was registered|Could not find (valid )?device|list of allowed values"
    r"|requires tf\.float32 or|Invalid input type\. Expected `float"
)
