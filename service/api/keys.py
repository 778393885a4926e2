"""Where the API's handlers find what the composition root made for them."""

from aiohttp import web

from service.api.document import Document
from service.api.pages import Pages
from service.operations.app_writes import AppWrites
from service.operations.instances import Instances
from service.operations.writes import Writes

INSTANCES = web.AppKey("instances", Instances)
WRITES = web.AppKey("writes", Writes)
APP_WRITES = web.AppKey("app_writes", AppWrites)
PAGES = web.AppKey("pages", Pages)
DOCUMENT = web.AppKey("document", Document)
LISTS: web.AppKey[tuple[str, ...]] = web.AppKey("lists", tuple)
"""The plurals of what is listed right below `/v3`."""
