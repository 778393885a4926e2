"""Where handlers and middlewares find what the composition root made."""

from aiohttp import web

from service.api.openapi import Document
from service.api.pages import Pages
from service.api.rate_limits import RateLimits
from service.cluster.access import Access
from service.health import Health
from service.metrics.registry import Metrics
from service.operations.instances import Instances
from service.operations.reading import Processes
from service.operations.writing import Writing
from service.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
ACCESS = web.AppKey("access", Access)
PROCESSES = web.AppKey("processes", Processes)
INSTANCES = web.AppKey("instances", Instances)
WRITING = web.AppKey("writing", Writing)
HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)
RATE_LIMITS = web.AppKey("rate_limits", RateLimits)
"""Absent while they are off."""
PAGES = web.AppKey("pages", Pages)
DOCUMENT = web.AppKey("document", Document)
