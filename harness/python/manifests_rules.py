"""The rules for an overlay: each yields a sentence for every problem."""

import functools
import json
import re
import urllib.parse

import kubernetes_validate

from manifests_overlay import reference, selects, title

VERSION = "1.37"

# Kinds whose schemas are not Kubernetes' own.
FOREIGN = {"cert-manager.io", "monitoring.coreos.com"}

# Overlays with one pod of each service, which stops before the next one starts.
SINGLE = {"dev"}

# Overlays that give every flag of the programs a value.
COMPLETE = {"keystone", "monitoring"}

# Variables that belong to no flag in --help, and why they may be set.
BESIDE_FLAGS = {
    "RUST_LOG": "the text of --log-format names it: how much is logged",
    "AWS_ACCESS_KEY_ID": "the text of --data-url names it: the data store reads it",
    "AWS_SECRET_ACCESS_KEY": "the text of --data-url implies it: the data store reads it",
    "AWS_REGION": "the text of --data-url names it: the data store reads it",
    "AWS_ENDPOINT": "the text of --data-url names it: the data store reads it",
}

# Variables of flags that a complete overlay need not set, and why.
UNSET = {
    "QEMU_IMG": "with STORAGE=agent there is no data to convert",
    "KEYSTONE_PASSWORD": "KEYSTONE_PASSWORD_FILE takes its place",
    "KEYSTONE_APPLICATION_CREDENTIAL_ID": "a user and its password take its place",
    "KEYSTONE_APPLICATION_CREDENTIAL_SECRET_FILE": "a user and its password take its place",
}


def schemas(overlay):
    for resource in overlay.resources:
        problem = misfit(json.dumps(resource))
        if problem:
            yield f"{title(resource)}: {problem}"


@functools.cache
def misfit(resource):
    """What in a resource does not match the schema of its kind."""
    resource = json.loads(resource)
    if resource["apiVersion"].split("/")[0] in FOREIGN:
        return None
    try:
        kubernetes_validate.validate(resource, VERSION, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return error.message
    return None


def namespaces(overlay):
    own = {namespace["metadata"]["name"] for namespace in overlay.of("Namespace")}
    for resource in overlay.resources:
        if resource["kind"] != "Namespace" and resource["metadata"].get("namespace") not in own:
            yield f"{title(resource)}: is in no namespace of this overlay"


def workloads(overlay):
    for pod in overlay.pods:
        if "selector" in pod.owner["spec"] and not selects(pod.owner["spec"]["selector"], pod.labels):
            yield f"{pod.title}: does not select its own pods"
        for spread in pod.spec.get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"], pod.labels):
                yield f"{pod.title}: spreads pods that are not its own"
        account = pod.spec.get("serviceAccountName")
        if overlay.named("ServiceAccount", account) is None:
            yield f"{pod.title}: there is no ServiceAccount {account}"


def services(overlay):
    for service in overlay.of("Service"):
        pods = overlay.selected({"matchLabels": service["spec"]["selector"]})
        yield from one_deployment(service, pods)
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for pod in pods:
                if not pod.has_port(target):
                    yield f"{title(service)}: {pod.title} has no port {target}"


def budgets(overlay):
    for budget in overlay.of("PodDisruptionBudget"):
        yield from one_deployment(budget, overlay.selected(budget["spec"]["selector"]))


def one_deployment(resource, pods):
    if [pod.owner["kind"] for pod in pods] != ["Deployment"]:
        selected = ", ".join(pod.title for pod in pods) or "nothing"
        yield f"{title(resource)}: selects {selected}, and not the pods of one Deployment"


def monitors(overlay):
    """Each service is scraped through exactly one of its Services."""
    for monitor in overlay.of("ServiceMonitor"):
        watched = [
            service
            for service in overlay.of("Service")
            if selects(monitor["spec"]["selector"], service["metadata"].get("labels", {}))
        ]
        for endpoint in monitor["spec"]["endpoints"]:
            for pod in overlay.servers():
                through = [
                    service["metadata"]["name"]
                    for service in watched
                    if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
                    and any(port.get("name") == endpoint["port"] for port in service["spec"]["ports"])
                ]
                if len(through) != 1:
                    yield f"{title(monitor)}: scrapes {pod.title} through {through}, and not through one Service"


def policies(overlay):
    for policy in overlay.of("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        yield from empty_selectors(overlay, policy, selector)
        for rule in policy["spec"].get("ingress", []):
            yield from peers(overlay, policy, rule.get("from", []))
            yield from rule_ports(policy, rule, overlay.selected(selector))
        for rule in policy["spec"].get("egress", []):
            yield from peers(overlay, policy, rule.get("to", []))
            own = [peer["podSelector"] for peer in rule.get("to", []) if is_own(peer)]
            yield from rule_ports(policy, rule, [pod for selector in own for pod in overlay.selected(selector)])


def peers(overlay, policy, named):
    for peer in named:
        if is_own(peer):
            yield from empty_selectors(overlay, policy, peer["podSelector"])


def is_own(peer):
    """Whether a peer is in the policy's own namespace; others cannot be checked here."""
    return "podSelector" in peer and "namespaceSelector" not in peer


def empty_selectors(overlay, policy, selector):
    if not overlay.selected(selector):
        yield f"{title(policy)}: {selector} selects no pods"
    for rule in selector.get("matchExpressions", []):
        for value in rule.get("values", []):
            if all(pod.labels.get(rule["key"]) != value for pod in overlay.pods):
                yield f"{title(policy)}: no pod has {rule['key']}: {value}"


def rule_ports(policy, rule, pods):
    for port in rule.get("ports", []):
        # The server would fill it in, and every later diff would show a change.
        if "protocol" not in port:
            yield f"{title(policy)}: names no protocol of port {port['port']}"
        for pod in pods:
            # Nobody calls a Job.
            if pod.owner["kind"] == "Deployment" and not pod.has_port(port["port"]):
                yield f"{title(policy)}: {pod.title} has no port {port['port']}"


def ports(overlay):
    for pod in overlay.pods:
        declared = pod.ports()
        for field in ("name", "containerPort"):
            values = [port.get(field) for port in declared]
            for value in sorted({value for value in values if values.count(value) > 1}, key=str):
                yield f"{pod.title}: has {values.count(value)} ports {value}"


def probes(overlay):
    for pod in overlay.servers():
        for container in pod.containers:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if probe is None:
                    yield f"{pod.title}: has no {kind}"
                    continue
                port = next(probe[way]["port"] for way in ("grpc", "httpGet", "tcpSocket") if way in probe)
                if not any(port in (own.get("name"), own["containerPort"]) for own in container.get("ports", [])):
                    yield f"{pod.title}: its {kind} asks port {port}, which it does not have"


def volumes(overlay):
    for pod in overlay.pods:
        mounts = [mount for container in pod.containers for mount in container.get("volumeMounts", [])]
        mounted = {mount["name"] for mount in mounts}
        for name in sorted(mounted - pod.volumes.keys()):
            yield f"{pod.title}: mounts {name}, and has no such volume"
        for name in sorted(pod.volumes.keys() - mounted):
            yield f"{pod.title}: never mounts its volume {name}"
        for volume in pod.volumes.values():
            for field, kind, key in (
                ("configMap", "ConfigMap", "name"),
                ("secret", "Secret", "secretName"),
                ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
            ):
                if field in volume and not overlay.exists(kind, volume[field][key]):
                    yield f"{pod.title}: there is no {kind} {volume[field][key]}, and no document says to make it"


def sources(overlay):
    """The sources of variables exist."""
    for pod in overlay.pods:
        for container in pod.containers:
            for source in container.get("envFrom", []):
                kind, name = reference(source)
                if not overlay.exists(kind, name):
                    yield f"{pod.title}: there is no {kind} {name}, and no document says to make it"
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {})
                if not source:
                    continue
                kind, name = reference(source)
                key = (source.get("secretKeyRef") or source["configMapKeyRef"])["key"]
                if not overlay.exists(kind, name) or key not in overlay.keys(kind, name):
                    yield f"{pod.title}: there is no key {key} of a {kind} {name}, and no document says to make it"


def variables(overlay):
    for pod in overlay.pods:
        for container in pod.containers:
            program = overlay.program(container)
            flags, given = overlay.flags[program], overlay.environment(container).keys()
            for name in sorted(given - flags - BESIDE_FLAGS.keys()):
                yield f"{pod.title}: {program} --help names no {name}"
            if overlay.name in COMPLETE and pod.owner["kind"] == "Deployment":
                for name in sorted(flags - given - UNSET.keys()):
                    yield f"{pod.title}: {program} has a flag for {name}, which is given no value"


def files(overlay):
    """The files that variables name are on mounted volumes."""
    for pod in overlay.pods:
        for container in pod.containers:
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for name, value in overlay.environment(container).items():
                named = re.fullmatch(r"(?:(?:sqlite|file):)?(/[^/].*)", value or "")
                if named and not any(f"{named[1]}/".startswith(f"{mount}/") for mount in mounts):
                    yield f"{pod.title}: {name} is {value}, where nothing is mounted"


def addresses(overlay):
    """The addresses at which the programs listen, and which they call, exist."""
    for pod in overlay.servers():
        for container in pod.containers:
            values = overlay.environment(container)
            for name in ("LISTEN", "ADMIN_LISTEN"):
                if not pod.has_port(int(values[name].rpartition(":")[2])):
                    yield f"{pod.title}: {name} is {values[name]}, and the pod has no such port"
            called = [values.get(name, "") for name in ("GLANCE_ENDPOINT", "CINDER_ENDPOINT")]
            for url in filter(None, ",".join(called).split(",")):
                parts = urllib.parse.urlsplit(url)
                service = overlay.named("Service", parts.hostname)
                if service is None or parts.port not in [port["port"] for port in service["spec"]["ports"]]:
                    yield f"{pod.title}: there is no Service at {url}"


def ends(overlay):
    """Kubernetes waits until a pod has drained."""
    for pod in overlay.servers():
        for container in pod.containers:
            values = overlay.environment(container)
            drain = int(values["DRAIN_DELAY_S"]) + int(values["GRACE_PERIOD_S"])
            grace = pod.spec["terminationGracePeriodSeconds"]
            if grace <= drain:
                yield f"{pod.title}: is killed after {grace} s, and may take {drain} s to stop"


def replicas(overlay):
    if overlay.name in SINGLE:
        return
    for pod in overlay.servers():
        scalers = [
            scaler
            for scaler in overlay.of("HorizontalPodAutoscaler")
            if scaler["spec"]["scaleTargetRef"].items()
            >= {"kind": pod.owner["kind"], "name": pod.owner["metadata"]["name"]}.items()
        ]
        if len(scalers) != 1:
            yield f"{pod.title}: has {len(scalers)} autoscalers, and not one"
        if "replicas" in pod.owner["spec"]:
            yield f"{pod.title}: says how many replicas there are, which the autoscaler does"
        update = pod.owner["spec"].get("strategy", {}).get("rollingUpdate", {})
        if update.get("maxUnavailable") != 0:
            yield f"{pod.title}: a new version may leave fewer pods than there were (maxUnavailable is not 0)"


def autoscalers(overlay):
    for scaler in overlay.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if overlay.named(target["kind"], target["name"]) is None:
            yield f"{title(scaler)}: there is no {target['kind']} {target['name']}"
        if scaler["spec"].get("minReplicas", 1) < 3:
            yield f"{title(scaler)}: may leave fewer than 3 pods"


SERVING = [services, budgets, monitors, policies, ports, probes, addresses]
STARTING = [workloads, volumes, sources, variables, files]
ALL = [schemas, namespaces, *STARTING, *SERVING, ends, replicas, autoscalers]


def problems(overlay):
    return [f"{overlay.name}: {problem}" for rule in ALL for problem in rule(overlay)]
