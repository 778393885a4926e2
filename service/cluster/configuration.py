"""Where the cluster is and with which credentials, as a kubeconfig, a Pod or the environment says."""

import os
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml

from service.cluster.kubernetes_client import (
    SERVICE_CERT_FILENAME,
    SERVICE_TOKEN_FILENAME,
    ConfigException,
    Configuration,
    InClusterConfigLoader,
    load_kube_config,
)


class NoCluster(Exception):
    """No configuration that can be used says where the cluster is; the message says what was looked for."""


async def load_configuration(kubeconfig: str, context: str) -> Configuration:
    """The cluster of a kubeconfig file, or of the Pod this runs in. Raises NoCluster."""
    configuration = Configuration()
    try:
        if kubeconfig:
            if not os.path.isfile(kubeconfig):  # noqa: ASYNC240 - a small local file
                raise NoCluster(f"KUBECONFIG: there is no file {kubeconfig}")
            await load_kube_config(
                config_file=kubeconfig,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
        elif "KUBERNETES_SERVICE_HOST" in os.environ:
            InClusterConfigLoader(SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME).load_and_set(configuration)
        else:
            raise NoCluster("KUBECONFIG: is not set, and this is not a Pod with a service account")
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        # The loader trips over a broken file in all these ways; what it says may quote the file, secrets included.
        reason = str(error) if isinstance(error, ConfigException) else type(error).__name__
        raise NoCluster(f"KUBECONFIG: cannot be used: {reason}") from error
    return configuration


def proxy_of_environment(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for this URL; None: none.

    NB: aiohttp's `trust_env` would ask for this in a thread at every request, and in another read ~/.netrc, whose
    passwords no request of ours is to carry.
    """
    split = urlsplit(url)
    # An exception may name a port; an IPv6 address is not to be taken for one.
    bypassed = any(proxy_bypass(host) for host in (split.hostname or "", split.netloc.rpartition("@")[2]))
    return None if bypassed else getproxies().get(split.scheme)
