"""A component: described from metadata and source text, imported only where these do not suffice."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from rbench.errors import InputError, MissingError, RbenchError
from rbench.harmless import STORED, one_line, text_of
from rbench.process_state import kept, said, users_own
from rbench.registry.requirements import installs
from rbench.registry.trial import fatal
from rbench.signature import Signature, static
from rbench.signature.distribution import owner
from rbench.signature.source import ModuleMissingError, NotStaticError, Source, read
from rbench.signature.version import source_version

ANY_FAILURE = (Exception,)
"""Failures of a component that is imported or described: listing and planning turn each into one line, without a traceback."""
REFUSALS = (ValueError, OSError)
"""Exceptions with which a component that is constructed or called refuses a value or a file; any other is a mistake in its code."""


def split_name(name: str) -> tuple[str, str | None]:
    """`timm:vit` as its source and item; a plain name has no item."""
    base, colon, rest = name.partition(":")
    return base, rest if colon else None


@dataclass(frozen=True)
class Component:
    """A component that an entry point names; nothing is imported before it must be.

    Attributes:
        kind: `purifier`, `backbone`, ...
        name: its name in suites, the part before the colon for a source.
        distribution: the installed package that brings it.
        version: of that package.
        value: `module:attribute`.
        extras: names of the optional dependencies of that package.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    extras: tuple[str, ...] = field(default=(), compare=False)
    _signatures: dict[str | None, Signature] = field(default_factory=dict, compare=False, repr=False)

    needs_trust = False
    """Whether it runs only where its user has said that it may."""

    @property
    def module(self) -> str:
        """The module of the entry point."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """The class or function in that module."""
        return self.value.partition(":")[2].partition("[")[0].strip()

    @property
    def place(self) -> str:
        """Where it is defined, as its author would write it."""
        return self.value

    def split(self, name: str) -> tuple[str, str | None]:
        """A name of it in parts: what leads to it, and the item after the colon."""
        return split_name(name)

    def load(self) -> Callable[..., Any]:
        """Imports the component.

        Raises:
            InputError: it cannot be imported; names the distribution, its version and the cause.
            MissingError: it needs a module that is not installed.
        """
        with self.blamed("import"):
            loaded = self._imported(self.module)
            for part in self.attribute.split("."):
                loaded = getattr(loaded, part)
        if not callable(loaded):
            raise self._wrong(InputError, f"is no class or function: {self.place}")
        return loaded

    def _imported(self, module: str) -> ModuleType:
        if not self._is_ours and (harm := fatal(module)):
            raise self._wrong(InputError, f"failed to import: {harm}")
        return import_module(module)

    def signature(self, rest: str | None = None) -> Signature:
        """Its parameters, read from the source; imported only if the source does not say.

        Args:
            rest: the text after the colon of a name, for sources whose items differ in their parameters.
        """
        if rest not in self._signatures:
            self._signatures[rest] = self._signature(rest)
        return self._signatures[rest]

    def _signature(self, rest: str | None) -> Signature:
        if self.kind == "reporter":
            return Signature()  # it takes the table alone, no parameters
        if rest is None:
            with self.blamed("import"):
                try:
                    return static.signature(self.module, self.attribute)
                except NotStaticError:
                    return Signature.of(self.load())
        own = self.signature()
        hook = self.hook("parameters") if own.open else None
        if hook is None:
            return own
        with self.blamed(f"describe {rest!r}"):
            return own.merged(hook(rest))

    def facts(self) -> dict[str, Any]:
        """Literal class attributes (`stochastic`), or for a function its module's constants (`norms`)."""
        try:
            return static.facts(self.module, self.attribute)
        except (NotStaticError, ModuleMissingError):
            return self._facts_of(self.load())

    def _facts_of(self, loaded: Callable[..., Any]) -> dict[str, Any]:
        with self.blamed("say what it is"):
            if isinstance(loaded, type):
                constants = dict(vars(loaded))
            else:
                module = vars(sys.modules[loaded.__module__])
                constants = {name.lower(): value for name, value in module.items() if name.isupper()}
            plain = (str, int, float, tuple, list)
            return {name: v for name, v in constants.items() if isinstance(v, plain) and not name.startswith("_")}

    @cached_property
    def doc(self) -> str:
        """The docstring, possibly empty."""
        try:
            return static.docstring(self.module, self.attribute)
        except (NotStaticError, ModuleMissingError):
            loaded = self.load()
            with self.blamed("say what it is"):
                return (loaded.__doc__ or "").strip()

    @property
    def summary(self) -> str:
        """First line of the docstring; for a broken plug-in, why it cannot be used."""
        try:
            return self.doc.partition("\n")[0].strip()
        except RbenchError as error:
            return f"broken: {error}"

    def items(self) -> tuple[str, ...]:
        """The items of a source (`bundled:...`) if its signature lists them all."""
        source = self.signature().source
        if source is None or get_origin(source.annotation) is not Literal:
            return ()
        return tuple(map(str, get_args(source.annotation)))

    def written_names(self) -> list[str]:
        """Its name as suites write it, one for each item: `jpeg`, `bundled:fashion-cnn`, `file:PATH`."""
        source = self.signature().source
        if source is None:
            return [self.name]
        return [f"{self.name}:{item}" for item in self.items() or (source.name.upper(),)]

    @cached_property
    def _source(self) -> Source | None:
        with self.blamed("import"):
            try:
                return static.definition(self.module, self.attribute)[0]
            except NotStaticError:
                with contextlib.suppress(NotStaticError):
                    return read(self.module)
        return None

    @cached_property
    def source_version(self) -> str:
        """The hash of what its module and those of its distribution that it imports compute, as 12 hex digits."""
        with self.blamed("import"):
            return source_version(self.module, owner(self.distribution, self.module))

    def hook(self, name: str) -> Callable[..., Any] | None:
        """An optional module-level function beside the component (`files`, `components`, `parameters`)."""
        module = self._source.name if self._source else self.module
        if self._source is not None:
            with contextlib.suppress(NotStaticError):
                if name not in self._source.bindings:
                    return None
        with self.blamed("import"):
            function = getattr(self._imported(module), name, None)
        return function if callable(function) else None

    def has_hook(self, name: str) -> bool:
        """Whether there is such a hook."""
        return self.hook(name) is not None

    def call_hook(self, name: str, params: Mapping[str, Any]) -> Any:
        """The hook's answer for these parameters; None if there is no such hook."""
        hook = self.hook(name)
        if hook is None:
            return None
        with self.blamed(f"answer `{name}`"):
            return hook(**params)

    def _wrong(self, kind: type[RbenchError], problem: str, remedy: str | None = None) -> RbenchError:
        """An error about this component; its text names the package that brings it as well."""
        component = f"{self.kind} {self.name!r}"
        return kind(f"{component} ({self.distribution} {self.version}) {problem}", component=component, remedy=remedy)

    @contextlib.contextmanager
    def blamed(self, action: str, failures: tuple[type[BaseException], ...] = ANY_FAILURE) -> Iterator[None]:
        """A block that runs code of the component: a failure becomes one line that names it, and what it prints goes to stderr.

        What it changes of the process is put back, see `rbench.process_state`.

        Args:
            action: a verb phrase for the line: `purifier 'x' (its-package 1.0) failed to ACTION: cause`.
            failures: the exceptions that become one line. Any other `Exception` passes as it is, with the traceback that its author needs;
                that of a stranger has the line as its `blamed`, for the command line. rbench's own errors and the user's interrupt always
                pass; a module that is not installed, and what would end the process without a word (`SystemExit`), is always one line.

        Raises:
            InputError: a failure, or a module of the component's own package is not there.
            MissingError: a module of another package is not installed.
        """
        try:
            with contextlib.redirect_stdout(sys.stderr), kept(f"{self.kind} {self.name!r}"):
                yield
        except (RbenchError, NotStaticError):
            raise
        except (ModuleMissingError, ModuleNotFoundError) as error:
            raise self._lacking(action, error) from error
        except BaseException as error:
            if users_own(error):
                raise
            blamed = self._wrong(InputError, f"failed to {action}: {said(error)}")
            if isinstance(error, Exception) and not isinstance(error, failures):
                if not self._is_ours:
                    with contextlib.suppress(Exception):  # an exception may refuse every attribute
                        error.blamed = blamed  # type: ignore[attr-defined]
                raise
            raise blamed from error

    @property
    def _is_ours(self) -> bool:
        return self.module.partition(".")[0] == "rbench"

    def _lacking(self, action: str, error: ImportError | ModuleMissingError) -> RbenchError:
        """The error for a module that is not there; only packages that rbench knows are advised."""
        missing = one_line(error.name or text_of(error), STORED)
        top, failed = missing.partition(".")[0], f"failed to {action}: No module named {missing!r}."
        if top == self.module.partition(".")[0]:
            return self._wrong(InputError, f"{failed} Its entry point is {self.place}.")
        known = f"pip install '{self.distribution}[{top}]'" if top in self.extras else installs(missing)
        unknown = f"Install what {self.distribution} needs; its author knows which package has that module."
        return self._wrong(MissingError, failed, f"       {known}" if known else unknown)
