"""What operations take and answer: classes, unions and words, generated from the operation catalogue."""

from ._generated.models import *  # noqa: F403
from ._generated.models import __all__ as __all__
