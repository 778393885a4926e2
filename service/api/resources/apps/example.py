"""An app for the examples in the API's document."""

from service.api.resources.processes.schema import EXAMPLE as PROCESS
from service.model.apps import APP_TYPE, App, app_key
from service.model.process import Metadata

_WORKLOAD = PROCESS.workload

EXAMPLE = App(
    key=app_key(_WORKLOAD.namespace, _WORKLOAD.app_guid),
    processes=(PROCESS,),
    lead=PROCESS,
    stored=Metadata(
        namespace=_WORKLOAD.namespace,
        app_guid=_WORKLOAD.app_guid,
        type=APP_TYPE,
        labels={"team": "checkout"},
        annotations={"contact": "shop@example.org"},
        updated_at=_WORKLOAD.changed_at,
    ),
    is_started=True,
)
