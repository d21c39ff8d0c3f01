"""Tests of the rules: copies of an overlay, each with one thing broken."""

import copy

from manifests_overlay import Overlay
from manifests_rules import problems

GONE = object()

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"

# What to change (kind, name, path, value), and what the reported problem must contain.
BREAKS = [
    ("Deployment", "glance", "spec.replica", 1, "replica"),
    ("Deployment", "glance", "kind", "Deploymint", "Deploymint"),
    ("Service", "glance", "metadata.namespace", "other", "is in no namespace"),
    ("Deployment", "glance", "spec.selector.matchLabels", {"app": "glance"}, "does not select its own pods"),
    ("Deployment", "glance", f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels", {"a": "b"}, "spreads"),
    ("Deployment", "glance", f"{POD}.serviceAccountName", "glanse", "no ServiceAccount glanse"),
    ("Service", "glance", "spec.selector", {"app.kubernetes.io/name": "glanse"}, "selects nothing"),
    ("Service", "glance", "spec.selector", {"app.kubernetes.io/part-of": "imprint"}, "not the pods of one Deployment"),
    ("Service", "nova-api-headless", "spec.ports.1.targetPort", "admit", "has no port admit"),
    ("Service", "glance-headless", "spec.ports.1.name", "metrics", "scrapes Deployment glance through []"),
    ("ServiceMonitor", "imprint", "spec.endpoints.0.port", "grpc", "and not through one Service"),
    ("PodDisruptionBudget", "glance", "spec.selector.matchLabels", {"app": "glance"}, "selects nothing"),
    ("NetworkPolicy", "metrics", "spec.podSelector.matchLabels", {"app": "glance"}, "selects no pods"),
    ("NetworkPolicy", "metrics", "spec.ingress.0.ports.0.port", "metrics", "has no port metrics"),
    ("NetworkPolicy", "nova-api-to-glance", "spec.egress.0.to.0.podSelector.matchLabels.a", "b", "selects no pods"),
    ("NetworkPolicy", "nova-api-to-glance", "spec.egress.0.ports.0.port", 9294, "has no port 9294"),
    ("NetworkPolicy", "nova-api-to-glance", "spec.egress.0.ports.0.protocol", GONE, "names no protocol of port 9292"),
    ("NetworkPolicy", "from-gateway", "spec.podSelector.matchExpressions.0.values.1", "nova", "no pod has"),
    ("NetworkPolicy", "cinder-to-glance", "spec.egress.0.ports.0.port", 9294, "has no port 9294"),
    ("NetworkPolicy", "glance-from-services", "spec.ingress.0.from.0.podSelector.matchExpressions.0.values.1", "c", "no pod has"),
    ("Deployment", "glance", f"{CONTAINER}.ports.1.name", "grpc", "has 2 ports grpc"),
    ("Deployment", "glance", f"{CONTAINER}.readinessProbe.grpc.port", 9294, "asks port 9294"),
    ("Deployment", "glance", f"{CONTAINER}.livenessProbe", GONE, "has no livenessProbe"),
    ("Deployment", "glance", f"{POD}.volumes.0", GONE, "and has no such volume"),
    ("Deployment", "glance", f"{CONTAINER}.volumeMounts.0", GONE, "never mounts its volume"),
    ("Deployment", "glance", f"{CONTAINER}.volumeMounts.0.mountPath", "/tls", "where nothing is mounted"),
    ("Deployment", "nova-api", f"{POD}.volumes.0.secret.secretName", "tls", "no Secret tls"),
    ("Deployment", "glance", f"{CONTAINER}.envFrom.1.secretRef.name", "data", "no Secret data"),
    ("Deployment", "glance", f"{CONTAINER}.env.0.valueFrom.secretKeyRef.key", "URL", "no key URL"),
    ("ConfigMap", "nova-api-", "data.QUOTA_CORE", "7", "names no QUOTA_CORE"),
    ("ConfigMap", "nova-api-", "data.QUOTA_CORES", GONE, "has a flag for QUOTA_CORES"),
    ("ConfigMap", "cinder-", "data.STORAGE", GONE, "has a flag for STORAGE"),
    ("ConfigMap", "glance-", "data.LISTEN", "0.0.0.0:9294", "LISTEN is 0.0.0.0:9294"),
    ("ConfigMap", "nova-api-", "data.GLANCE_ENDPOINT", "https://glance:9292,https://glanse:9292", "at https://glanse"),
    ("Deployment", "glance", f"{POD}.terminationGracePeriodSeconds", 65, "is killed after 65 s"),
    ("ConfigMap", "nova-api-", "data.DRAIN_DELAY_S", "10", "may take 30 s"),
    ("Deployment", "glance", "spec.replicas", 3, "which the autoscaler does"),
    ("Deployment", "glance", "spec.strategy.rollingUpdate.maxUnavailable", 1, "maxUnavailable is not 0"),
    ("HorizontalPodAutoscaler", "glance", "spec.scaleTargetRef.name", "glanse", "no Deployment glanse"),
    ("HorizontalPodAutoscaler", "nova-api", "spec.minReplicas", 2, "fewer than 3 pods"),
]


def unnoticed(overlay):
    """What was broken in a copy of the overlay without being noticed; the overlay itself must have no problems."""
    for kind, name, where, value, sentence in BREAKS:
        resources = copy.deepcopy(overlay.resources)
        change(find(resources, kind, name), where, value)
        found = problems(Overlay(overlay.name, resources, overlay.flags, overlay.documented))
        if not any(sentence in problem for problem in found):
            yield f"{kind} {name}, {where}: nobody said {sentence!r}, but {found}"


def find(resources, kind, name):
    """A resource by its name or, if the name ends with a hash, by its prefix."""
    of_kind = {resource["metadata"]["name"]: resource for resource in resources if resource["kind"] == kind}
    return of_kind[next(full for full in of_kind if full == name or name.endswith("-") and full.startswith(name))]


def change(resource, where, value):
    *way, last = [int(step) if step.isdigit() else step for step in where.split(".")]
    for step in way:
        resource = resource[step]
    if value is GONE:
        del resource[last]
    else:
        resource[last] = value
