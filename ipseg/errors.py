"""The errors a person can do something about."""


class IpsegError(Exception):
    """Something the caller can fix: the message names the place, the fault and the next step."""


class ConfigError(IpsegError):
    """A setting that does not exist or has a value it cannot have."""


class ImageError(IpsegError):
    """An image that cannot be read as a picture, or is outside the accepted sizes."""


class PromptError(IpsegError):
    """A prompt folder, prompt image or prompt bank that cannot be used."""


class SourceError(IpsegError):
    """A collection of images that is missing, empty or in no known layout."""


class OutputError(IpsegError):
    """A place that cannot be written to, or a run folder that cannot be read."""


class StorageError(IpsegError):
    """A URL whose protocol is unknown, or whose driver is not installed."""


class WeightsError(IpsegError):
    """Weights that are missing, damaged, or not those of the model they were given to."""


class PlanError(IpsegError):
    """A pipeline that does not fit the machines it should run on."""


class FailureBudgetError(IpsegError):
    """More rows failed than a run may lose before it is stopped."""


class StallError(IpsegError):
    """A run that makes no progress any more."""
