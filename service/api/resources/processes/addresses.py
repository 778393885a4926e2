"""The two addresses at which a process is found: its own GUID, and its app's GUID and its type."""

from service.api.links import quoted
from service.api.readable import At, Match
from service.model.process import Process
from service.operations.processes import by_app, by_guid
from service.operations.questions import Address

APP_GUID, PROCESS_GUID = "1cb006ee-fb05-47e1-b541-c34179ddc446", "be949d45-a110-5df4-b389-a32fb60cc94c"
"""The GUIDs in the examples of the API's document."""

BY_GUID = At("/v3/processes/{guid}", lambda match: by_guid(match["guid"]), example={"guid": PROCESS_GUID})
BY_APP = At(
    "/v3/apps/{guid}/processes/{type}",
    lambda match: by_app(match["guid"], match["type"]),
    suffix="OfApp",
    words=", by app and type",
    example={"guid": APP_GUID, "type": "web"},
)
ADDRESSES = (BY_GUID, BY_APP)


def address_of(match: Match) -> Address:
    """Which process a path below either address means."""
    return (BY_APP if "type" in match else BY_GUID).address(match)


def href_of(process: Process, base: str) -> str:
    """Where a process is, whichever way it was asked for."""
    return f"{base}/v3/processes/{quoted(process.guid)}"
