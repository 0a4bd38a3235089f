"""Forms of the resources that are no part of Kubernetes: those fields that deploy/ uses, and no others."""

from __future__ import annotations

from typing import Any, Final

TEXT: Final = {"type": "string", "minLength": 1}
COUNT: Final = {"type": "integer", "minimum": 1}


def _form(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


def _resource(api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _form({"name": TEXT}, namespace=TEXT, labels={"type": "object", "additionalProperties": TEXT})
    return _form(
        {"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": metadata, "spec": spec}
    )


_BY_KAFKA: Final = _form(
    {
        "type": {"const": "kafka"},
        "metadata": _form(
            {"bootstrapServers": TEXT, "consumerGroup": TEXT, "topic": TEXT, "lagThreshold": TEXT},
            offsetResetPolicy={"enum": ["earliest", "latest"]},
            sasl={"enum": ["none", "plaintext", "scram_sha256", "scram_sha512"]},
            tls={"enum": ["enable", "disable"]},
        ),
    },
    authenticationRef=_form({"name": TEXT}),
)
_BY_PROMETHEUS: Final = _form(
    {
        "type": {"const": "prometheus"},
        "metadata": _form({"serverAddress": TEXT, "query": TEXT, "threshold": TEXT}),
    }
)
_SECRET_PARAMETER: Final = _form({"parameter": TEXT, "name": TEXT, "key": TEXT})
_ENDPOINT: Final = _form({"port": TEXT, "path": TEXT, "interval": TEXT})

FORMS: Final[dict[str, dict[str, Any]]] = {
    "ScaledObject": _resource(
        "keda.sh/v1alpha1",
        "ScaledObject",
        _form(
            {
                "scaleTargetRef": _form({"apiVersion": TEXT, "kind": TEXT, "name": TEXT}),
                "minReplicaCount": COUNT,
                "maxReplicaCount": COUNT,
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"oneOf": [_BY_KAFKA, _BY_PROMETHEUS]},
                },
            },
            pollingInterval=COUNT,
            cooldownPeriod=COUNT,
        ),
    ),
    "TriggerAuthentication": _resource(
        "keda.sh/v1alpha1",
        "TriggerAuthentication",
        _form({"secretTargetRef": {"type": "array", "minItems": 1, "items": _SECRET_PARAMETER}}),
    ),
    "PodMonitor": _resource(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        _form(
            {
                "selector": _form({"matchLabels": {"type": "object", "additionalProperties": TEXT}}),
                "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": _ENDPOINT},
            }
        ),
    ),
}
