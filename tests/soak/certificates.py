"""What kube-apiserver proves to a replica, as far as the replica can see: it may change, or be nobody's it knows."""

import ssl

import trustme

HOST = "127.0.0.1"


class Identity:
    """Certificates of one server, for connections that are made from now on."""

    def __init__(self) -> None:
        self._authority, self._another = trustme.CA(), trustme.CA()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.renew()

    @property
    def authority(self) -> bytes:
        """Whom the replica is told to believe, as PEM."""
        return self._authority.cert_pem.bytes()

    def renew(self) -> None:
        """A new certificate and key of the same authority: the old one was about to expire."""
        self._authority.issue_cert(HOST).configure_cert(self.context)

    def pretend(self) -> None:
        """Those of an authority that the replica does not know."""
        self._another.issue_cert(HOST).configure_cert(self.context)
