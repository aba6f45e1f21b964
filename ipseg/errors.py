"""Errors that the user can fix."""


class IpsegError(Exception):
    """Base of errors that the user can fix; the message says where, what, and what to do next."""


class ConfigError(IpsegError):
    """A setting that does not exist or has an invalid value."""


class UnknownSetting(ConfigError):  # noqa: N818  (it is one kind of ConfigError)
    """A setting that the method, or the part, does not have.

    Attributes:
        key: its path.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ImageError(IpsegError):
    """An image that cannot be decoded, or is outside of the accepted sizes."""


class PromptError(IpsegError):
    """A prompt folder, prompt image or prompt bank that cannot be used."""


class SourceError(IpsegError):
    """A collection of images that is missing, empty or has an unknown layout."""


class OutputError(IpsegError):
    """An output that cannot be written, or a run folder that cannot be read."""


class StorageError(IpsegError):
    """A URL whose protocol is unknown, or whose driver is not installed."""


class WeightsError(IpsegError):
    """Weights that are missing, damaged, or of another model."""


class PlanError(IpsegError):
    """A pipeline that does not fit the available machines."""


class FailureBudgetError(IpsegError):
    """More rows failed than the limit for the run."""


class StallError(IpsegError):
    """A run that no longer makes progress."""


class DivergedError(IpsegError):
    """A training whose loss is no finite number any more."""
