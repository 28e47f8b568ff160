"""The exceptions: one class per kind of error, all below :class:`NeonHubError`.

Catch the class for what you handle, and :class:`NeonHubError` for the rest. ``code`` may be finer than the class
(``no_identity``); codes are stable words, messages are for people.
"""

from __future__ import annotations

import builtins
from typing import ClassVar, NamedTuple

__all__ = [
    "AlreadyExistsError",
    "BlockedError",
    "BudgetExceededError",
    "CancelledError",
    "ConfigError",
    "ConflictError",
    "ConsentRequiredError",
    "ContextTooLongError",
    "CorruptedError",
    "Fault",
    "InternalError",
    "InvalidInputError",
    "NeonHubError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitedError",
    "TimeoutError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
]


class Fault(NamedTuple):
    """One fault of one field, for errors that list several at once."""

    field: str
    """Path of the field, as the caller wrote it: ``budget.currency``, ``channels[2]``."""
    message: str
    """What was expected and what to do."""


class NeonHubError(Exception):
    """What every failing call raises.

    A model, tool or connector written in Python may raise these classes too: kind, code and retry advice are kept.
    """

    kind: ClassVar[str] = "internal"
    """The stable word of the class, the same in every language."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        operation: str = "host",
        context: dict[str, str] | None = None,
        faults: tuple[Fault, ...] = (),
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What was expected and what to do."""
        self.code = self.kind if code is None else code
        """The finer word if there is one, else the kind."""
        self.operation = operation
        """The operation that failed, such as ``people.resolve``."""
        self.context: dict[str, str] = {} if context is None else context
        """Ids, counts and limits for operators."""
        self.faults = faults
        """Every fault by field, when the error lists several."""
        self.retryable = retryable or retry_after is not None
        """True when the same call may succeed later."""
        self.retry_after = retry_after
        """Not sooner than this, in seconds, when the other side said so."""

    def __str__(self) -> str:
        pairs = "".join(f" {key}={value}" for key, value in self.context.items())
        return f"{self.code}: {self.operation}: {self.message}{pairs}"

    def __reduce__(self) -> tuple[object, ...]:
        parts = (
            self.kind,
            self.code,
            self.operation,
            self.message,
            self.context,
            self.faults,
            self.retryable,
            self.retry_after,
        )
        return (make, parts)


class InvalidInputError(NeonHubError):
    """A value of the caller is wrong; the message names the field and the accepted form."""

    kind = "invalid_input"


class ConfigError(NeonHubError):
    """The hub is set up wrongly: a missing key, a file of a newer version, an unknown setting."""

    kind = "config"


class NotFoundError(NeonHubError):
    """The thing does not exist, or belongs to another workspace."""

    kind = "not_found"


class AlreadyExistsError(NeonHubError):
    """A unique value is taken."""

    kind = "already_exists"


class ConflictError(NeonHubError):
    """A stale revision, a wrong state, or the same idempotency key with another input."""

    kind = "conflict"


class UnauthenticatedError(NeonHubError):
    """Who is calling is unknown, or the credentials are no longer valid."""

    kind = "unauthenticated"


class PermissionDeniedError(NeonHubError):
    """The caller is known and may not do this."""

    kind = "permission_denied"


class ConsentRequiredError(NeonHubError):
    """The person has not agreed to this."""

    kind = "consent_required"


class BudgetExceededError(NeonHubError):
    """A budget, quota or plan is used up."""

    kind = "budget_exceeded"


class BlockedError(NeonHubError):
    """A rule refuses this and will go on refusing it."""

    kind = "blocked"


class ContextTooLongError(NeonHubError):
    """The input is larger than the model's window."""

    kind = "context_too_long"


class RateLimitedError(NeonHubError):
    """Too many calls; ``retry_after`` says when the next one is admitted."""

    kind = "rate_limited"


class TimeoutError(NeonHubError, builtins.TimeoutError):
    """No answer in time, and nothing was done. Also a built-in ``TimeoutError``."""

    kind = "timeout"


class UnavailableError(NeonHubError):
    """The other side cannot be reached now."""

    kind = "unavailable"


class OutcomeUnknownError(NeonHubError):
    """The act may or may not have happened; only a probe or a person can tell."""

    kind = "outcome_unknown"


class UnsupportedError(NeonHubError):
    """This build, backend or provider cannot do it."""

    kind = "unsupported"


class CorruptedError(NeonHubError):
    """Stored or received bytes do not say what they should."""

    kind = "corrupted"


class CancelledError(NeonHubError):
    """The caller gave up, or the hub is closing."""

    kind = "cancelled"


class InternalError(NeonHubError):
    """A fault of ours, or an exception of an unknown kind in a function of yours (see ``__cause__``)."""

    kind = "internal"


CLASSES: dict[str, type[NeonHubError]] = {cls.kind: cls for cls in NeonHubError.__subclasses__()}
"""The class of each kind."""


def make(
    kind: str,
    code: str,
    operation: str,
    message: str,
    context: dict[str, str],
    faults: list[tuple[str, str]] | tuple[Fault, ...],
    retryable: bool,
    retry_after: float | None,
) -> NeonHubError:
    """The exception for an error of the core."""
    return CLASSES.get(kind, InternalError)(
        message,
        code=code,
        operation=operation,
        context=context,
        faults=tuple(Fault(*fault) for fault in faults),
        retryable=retryable,
        retry_after=retry_after,
    )
