"""What there is to know about one setting: its name in every place, its check, its default and its words."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from batcher.config.checks import Check
from batcher.domain.settings import JobSettings, ProcessSettings

T_co = TypeVar("T_co", covariant=True)
#: A limit by model; the key None stands for every model.
Figures = dict[str | None, float]

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"


class Keeper(StrEnum):
    """Who remembers a setting from one command to the next."""

    JOB = "job"
    #: No one: each process is given it again.
    PROCESS = "process"


#: The defaults are those of the fields.
_DEFAULTS: Final[dict[Keeper, JobSettings | ProcessSettings]] = {
    Keeper.JOB: JobSettings(base_url=DEFAULT_BASE_URL),
    Keeper.PROCESS: ProcessSettings(),
}


class Setting(Struct, Generic[T_co], frozen=True, kw_only=True):
    """One setting, of which a source gives a `T_co`.

    Its name is that of its field in `JobSettings` or `ProcessSettings`, and of its argument in Python.

    Attributes:
        keeper: Who remembers it.
        check: Returns a value in its final type, or raises ConfigError that begins with where the value stands.
        help: What it does, for `--help`, for Python's arguments and for the page of settings.
        kind: The type of a value on the command line and in Python.
        metavar: The placeholder of the flag's value; None: the flag takes none, or shows its `choices`.
        choices: The words that it can be, if there are only a few.
        has_flag: Whether a flag gives it, spelled like the name: `--max-attempts`.
        can_be_denied: Whether there is a flag `--no-…`, too.
        off_flag: A flag that stands for the value `off`.
        toml: Its table and its key in batcher.toml.
        variable: The environment variable that gives it.
        default_words: What `--help` says in place of the default's value; `{--cache}` stands for an option.
        is_duration: Whether it is in seconds, so that the flag also takes `90s`, `15m` or `6h`.
        is_path: Whether a value in batcher.toml is relative to the file's folder.
        is_per_model: Whether each model may have its own: what a source gives is then `Figures`.
        is_of_endpoint: Whether a job that takes another job's endpoint takes that job's value, too.
        is_live: Whether it may change while the job runs.
        is_supported: Whether it has an effect yet. If not, it is refused: a setting must not be ignored.
        label: What a note about a changed value calls it.
        shown: Returns a value in the words of such a note.
    """

    name: str
    keeper: Keeper
    check: Check[Any]
    help: str
    kind: type = str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    has_flag: bool = True
    can_be_denied: bool = False
    off_flag: str | None = None
    toml: tuple[str, str] | None = None
    variable: str | None = None
    default_words: str | None = None
    is_duration: bool = False
    is_path: bool = False
    is_per_model: bool = False
    is_of_endpoint: bool = False
    is_live: bool = False
    is_supported: bool = True
    label: str = ""
    shown: Callable[[Any], str] = str

    @property
    def flag(self) -> str:
        """The flag that gives it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def denial(self) -> str:
        """The flag that denies it, if it `can_be_denied`."""
        return f"--no-{self.flag[2:]}"

    @property
    def toml_path(self) -> str:
        """Its place in batcher.toml, as errors name it: `retry.timeout`."""
        return ".".join(self.toml or ())

    @property
    def default(self) -> Any:  # noqa: ANN401 - of the setting's own type
        """What holds if no source gives it; None: nothing does."""
        return getattr(_DEFAULTS[self.keeper], self.name, None)

    @property
    def default_shown(self) -> str:
        """The default in words; empty if there is nothing to say."""
        if self.default_words is not None:
            return self.default_words
        value = self.default
        if isinstance(value, bool):
            return ("on" if value else "off") if self.can_be_denied else ""
        return "" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)

    @property
    def help_with_sources(self) -> str:
        """What it does, then its variable and its default, as `--help` shows them."""
        variable = [f"env: {self.variable}"] if self.variable else []
        default = [f"default: {self.default_shown}"] if self.default_shown else []
        sources = "; ".join(variable + default)
        return f"{self.help}  [{sources}]" if sources else self.help
