"""Where the dashboard finds what the composition root made for it alone."""

from aiohttp import web

from service.dashboard.sessions import Sessions
from service.dashboard.streams import Streams
from service.operations.overview import Overview
from service.operations.problems import Problems

OVERVIEW = web.AppKey("overview", Overview)
PROBLEMS = web.AppKey("problems", Problems)
SESSIONS = web.AppKey("sessions", Sessions)
STREAMS = web.AppKey("streams", Streams)
