"""THE table of what the API answers. Whatever is not here is an unknown request."""

from dataclasses import replace

from service.api import bodies, handlers
from service.api.operation import Errors, Operation, Route
from service.api.queries import AppProcessListQuery, InstancesQuery, ProcessListQuery, ProcessQuery
from service.errors import (
    AnnotationLimitExceeded,
    BadQueryParameter,
    BodyTooLarge,
    LabelLimitExceeded,
    MessageParseError,
    RequestTimeout,
    ResourceNotFound,
    StatsUnavailable,
    UnprocessableEntity,
)

_LISTING: Errors = (BadQueryParameter, StatsUnavailable)
_READING: Errors = (*_LISTING, ResourceNotFound)
_WRITING: Errors = (MessageParseError, ResourceNotFound, RequestTimeout, BodyTooLarge, UnprocessableEntity)

_OF_PROCESS = (
    (
        ("GET", "", handlers.get_process),
        Operation("getProcess", "Get a process", "processes", "Process", query=ProcessQuery, errors=_READING),
    ),
    (
        ("PATCH", "", handlers.update_process),
        Operation(
            "updateProcess",
            "Update a process",
            "processes",
            "Process",
            body=bodies.update_body,
            errors=(*_WRITING, LabelLimitExceeded, AnnotationLimitExceeded),
        ),
    ),
    (
        ("GET", "/stats", handlers.get_stats),
        Operation(
            "getProcessStats",
            "Get what the instances of a process use",
            "instances",
            "Stats",
            errors=(ResourceNotFound, StatsUnavailable),
        ),
    ),
    (
        ("POST", "/actions/scale", handlers.scale_process),
        Operation(
            "scaleProcess",
            "Scale a process",
            "processes",
            "Process",
            status=202,
            body=bodies.scale_body,
            errors=_WRITING,
        ),
    ),
    (
        ("DELETE", "/instances/{index}", handlers.terminate_instance),
        Operation(
            "terminateProcessInstance",
            "Terminate an instance, for another to take its place",
            "instances",
            None,
            status=204,
            errors=(ResourceNotFound, UnprocessableEntity, StatsUnavailable),
        ),
    ),
)

ROUTES = (
    Route("GET", "/", handlers.root, Operation("getRoot", "Find the API", "root", "Root", token=False)),
    Route(
        "GET",
        "/v3/openapi.json",
        handlers.openapi,
        Operation("getDocument", "Get this document", "root", "Document", token=False),
    ),
    Route(
        "GET",
        "/v3/processes",
        handlers.list_processes,
        Operation(
            "listProcesses", "List processes", "processes", "ProcessList", query=ProcessListQuery, errors=_LISTING
        ),
    ),
    Route(
        "GET",
        "/v3/processes/{guid}/process_instances",
        handlers.list_instances,
        Operation(
            "listProcessInstances",
            "List the instances of a process",
            "instances",
            "ProcessInstances",
            query=InstancesQuery,
            errors=_READING,
        ),
    ),
    Route(
        "GET",
        "/v3/apps/{guid}/processes",
        handlers.list_app_processes,
        Operation(
            "listAppProcesses",
            "List the processes of an app",
            "processes",
            "ProcessList",
            query=AppProcessListQuery,
            errors=_READING,
        ),
    ),
    *(
        Route(method, address + path, handler, replace(said, id=said.id + suffix, summary=said.summary + words))
        for address, suffix, words in (
            ("/v3/processes/{guid}", "", ""),
            ("/v3/apps/{guid}/processes/{type}", "OfApp", ", by app and type"),
        )
        for (method, path, handler), said in _OF_PROCESS
    ),
)
