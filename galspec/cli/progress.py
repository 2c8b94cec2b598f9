"""Progress bars of the command line."""

from collections.abc import Callable
from typing import Any

from tqdm import tqdm


def move_bar(bar: "tqdm[Any]") -> Callable[[int], None]:
    """Return a function that moves a bar to the number of items done."""

    def move(done: int) -> None:
        bar.update(done - bar.n)

    return move
