"""Schemas of the resources of KEDA and of the Prometheus operator, written by hand for what deploy/kubernetes uses.

They are narrower than the definitions that come with those two: a field that is not here is refused, though there may
be one. The manifests were held to those definitions, too, once, by hand: of KEDA 2.20 and of August 2026.
"""

from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def _object(required: dict[str, Any], **optional: Any) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object", "properties": {**required, **optional}, "required": [*required], "additionalProperties": False,
    }  # fmt: skip


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1}


def _resource(kind: str, version: str, spec: Schema) -> Schema:
    metadata = _object({"name": _TEXT}, namespace=_TEXT, labels={"type": "object"})
    return _object({"apiVersion": {"const": version}, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


_POLICY: Final = _object({"type": {"enum": ["Pods", "Percent"]}, "value": _COUNT, "periodSeconds": _COUNT})
_SCALING: Final = _object({}, stabilizationWindowSeconds=_COUNT, policies=_list(_POLICY))
_BEHAVIOUR: Final = _object({}, behavior=_object({}, scaleUp=_SCALING, scaleDown=_SCALING))

_AT_THE_SERVER: Final[Schema] = {"listName": _TEXT, "listLength": _TEXT}
_TRIGGERS: Final[dict[str, Schema]] = {
    "metrics-api": _object(
        {"url": _TEXT, "valueLocation": _TEXT, "targetValue": _TEXT},
        format={"enum": ["prometheus", "json", "xml", "yaml"]},
    ),
    "redis": _object({**_AT_THE_SERVER, "address": _TEXT}, databaseIndex=_TEXT, enableTLS=_TEXT),
    "redis-sentinel": _object(
        {**_AT_THE_SERVER, "addresses": _TEXT, "sentinelMaster": _TEXT}, databaseIndex=_TEXT, enableTLS=_TEXT
    ),
    "redis-cluster": _object({**_AT_THE_SERVER, "addresses": _TEXT}, enableTLS=_TEXT),
}
"""Type of a trigger -> its metadata: texts alone. The definition of KEDA leaves them open; its scalers read these."""

_TRIGGER: Final[Schema] = {
    "oneOf": [
        _object({"type": {"const": kind}, "metadata": metadata}, name=_TEXT, authenticationRef=_object({"name": _TEXT}))
        for kind, metadata in _TRIGGERS.items()
    ]
}
_RELABELING: Final = _object({"sourceLabels": _list(_TEXT), "targetLabel": _TEXT})
_ENDPOINT: Final = _object({"port": _TEXT}, interval=_TEXT, relabelings=_list(_RELABELING))

SCHEMAS: Final[dict[str, Schema]] = {
    "ScaledObject": _resource(
        "ScaledObject",
        "keda.sh/v1alpha1",
        _object(
            {"scaleTargetRef": _object({"name": _TEXT}), "triggers": _list(_TRIGGER)},
            minReplicaCount=_COUNT, maxReplicaCount=_COUNT, pollingInterval={"type": "integer", "minimum": 1},
            advanced=_object({}, horizontalPodAutoscalerConfig=_BEHAVIOUR),
        ),
    ),
    "TriggerAuthentication": _resource(
        "TriggerAuthentication",
        "keda.sh/v1alpha1",
        _object({"secretTargetRef": _list(_object({"parameter": _TEXT, "name": _TEXT, "key": _TEXT}))}),
    ),
    "PodMonitor": _resource(
        "PodMonitor",
        "monitoring.coreos.com/v1",
        _object(
            {"selector": _object({"matchLabels": {"type": "object"}}), "podMetricsEndpoints": _list(_ENDPOINT)}, jobLabel=_TEXT
        ),
    ),
}  # fmt: skip
"""Kind -> its schema."""
