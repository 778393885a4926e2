"""Kubernetes' client library without the models of its API: what finds a cluster, and nothing else of it.

To import any part of kubernetes_asyncio is to import a class for each type that Kubernetes knows, from 850 modules.
None of them is used here, and they would take 32 MiB of each replica, and a quarter of a second of each start. So its
packages are put in place without running them. Each still has all that it ever had: the first who asks it for
something else runs it.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PACKAGES = ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models")


class _Package(ModuleType):
    """A package that is run when something is asked of it that is not there."""

    def __init__(self, name: str, spec: ModuleSpec, path: Sequence[str]) -> None:
        super().__init__(name)
        self.__spec__ = spec
        self.__file__ = spec.origin
        self.__path__ = list(path)

    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        is_special = name.startswith("__") and name not in ("__all__", "__version__")
        if is_special or spec is None or spec.loader is None:
            # The import system, and whatever looks at modules, asks for some that hardly any module has.
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if PathFinder.find_spec(f"{self.__name__}.{name}", self.__path__) is not None:
            return import_module(f"{self.__name__}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


def _put_in_place() -> None:
    """Have the packages without running them, unless somebody has run them already."""
    path: Sequence[str] | None = None
    for name in _PACKAGES:
        if name in sys.modules:
            return
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.submodule_search_locations is None:
            # Not where it was in the version that this was written for: then it is imported as a whole.
            return
        path = list(spec.submodule_search_locations)
        sys.modules[name] = package = _Package(name, spec, path)
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, package)


_put_in_place()

# Only now: what is imported here looks for its packages.
from kubernetes_asyncio.client.api_client import ApiClient  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402

# Where the library's own modules look for them.
vars(sys.modules["kubernetes_asyncio.client"]).update(ApiClient=ApiClient, Configuration=Configuration)

from kubernetes_asyncio.config.config_exception import ConfigException  # noqa: E402
from kubernetes_asyncio.config.incluster_config import (  # noqa: E402
    SERVICE_CERT_FILENAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes_asyncio.config.kube_config import load_kube_config  # noqa: E402

__all__ = [
    "SERVICE_CERT_FILENAME",
    "SERVICE_TOKEN_FILENAME",
    "ApiClient",
    "ConfigException",
    "Configuration",
    "InClusterConfigLoader",
    "load_kube_config",
]
