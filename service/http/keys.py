"""Where handlers and middlewares find what the composition root made, as far as any resource needs it."""

from aiohttp import web

from service.access import Access
from service.health import Health
from service.http.connections import Traffic
from service.http.rate_limits import RateLimits
from service.http.work import Work
from service.metrics.registry import Metrics
from service.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
ACCESS = web.AppKey("access", Access)
HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)
TRAFFIC = web.AppKey("traffic", Traffic)
WORK = web.AppKey("work", Work)
RATE_LIMITS = web.AppKey("rate_limits", RateLimits)
"""Absent while they are off."""
