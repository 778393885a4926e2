"""The Services that are known, by their names and by their uids."""

from service.model.routes import Service


class Services:
    def __init__(self) -> None:
        self._services: dict[tuple[str, str], Service] = {}
        """By namespace and name."""
        self._keys: dict[str, tuple[str, str]] = {}
        """By uid."""

    def get(self, namespace: str, name: str) -> Service | None:
        return self._services.get((namespace, name))

    def uids(self) -> list[str]:
        """The uids of all Services, as of now."""
        return list(self._keys)

    def put(self, service: Service) -> bool:
        """Add a Service or replace its former state; whether that changed anything."""
        key = service.namespace, service.name
        former = self._services.get(key)
        if former == service:
            return False
        if former is not None:
            # Of another uid, where it was deleted and made again: the new one may be reported before the old is gone.
            del self._keys[former.uid]
        self._services[key] = service
        self._keys[service.uid] = key
        return True

    def remove(self, uid: str) -> Service | None:
        """Forget a Service, and return it. An unknown uid is no error."""
        key = self._keys.pop(uid, None)
        return None if key is None else self._services.pop(key)
