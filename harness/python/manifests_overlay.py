"""A rendered overlay: its resources, its pods, and what they refer to."""

import re


class Documented:
    """What a document tells the reader to create by hand: the names, and the keys of Secrets."""

    def __init__(self, text):
        made = re.findall(r"create (secret generic|configmap) ([\w.-]+)", text)
        self.names = {("ConfigMap" if kind == "configmap" else "Secret", name) for kind, name in made}
        rows = re.findall(r"^\| `([\w.-]+)` \| (`[A-Z_]+`.*) \|$", text, re.MULTILINE)
        self.keys = {name: re.findall(r"`([A-Z_]+)`", keys) for name, keys in rows}


class Pod:
    """The pods of a Deployment or of a Job."""

    def __init__(self, owner):
        self.owner = owner
        self.title = title(owner)
        template = owner["spec"]["template"]
        self.labels = template["metadata"].get("labels", {})
        self.spec = template["spec"]
        self.containers = self.spec["containers"]
        self.volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}

    def ports(self):
        return [port for container in self.containers for port in container.get("ports", [])]

    def has_port(self, wanted):
        return any(wanted in (port.get("name"), port["containerPort"]) for port in self.ports())


class Overlay:
    """The resources of an overlay, the variables of each program's flags, and what is created by hand."""

    def __init__(self, name, resources, flags, documented):
        self.name = name
        self.resources = resources
        self.flags = flags
        self.documented = documented
        self.pods = [Pod(owner) for owner in self.of("Deployment") + self.of("Job")]

    def of(self, kind):
        return [resource for resource in self.resources if resource["kind"] == kind]

    def named(self, kind, name):
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    def servers(self):
        return [pod for pod in self.pods if pod.owner["kind"] == "Deployment"]

    def selected(self, selector):
        return [pod for pod in self.pods if selects(selector, pod.labels)]

    def program(self, container):
        """The program of a container: the image has its name."""
        return container["image"].rpartition("/")[2].partition(":")[0].partition("@")[0]

    def exists(self, kind, name):
        if self.named(kind, name) is not None or (kind, name) in self.documented.names:
            return True
        return kind == "Secret" and name in [made["spec"]["secretName"] for made in self.of("Certificate")]

    def keys(self, kind, name):
        resource = self.named(kind, name)
        return list(resource.get("data", {})) if resource else self.documented.keys.get(name, [])

    def environment(self, container):
        """The variables of a container; the values of those from Secrets are None."""
        values = {}
        for source in container.get("envFrom", []):
            kind, name = reference(source)
            data = (self.named(kind, name) or {}).get("data", {})
            values |= {key: data.get(key) for key in self.keys(kind, name)}
        return values | {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def title(resource):
    return f"{resource['kind']} {resource['metadata']['name']}"


def reference(source):
    """Kind and name of the source of variables."""
    for kind, fields in (("ConfigMap", ("configMapRef", "configMapKeyRef")), ("Secret", ("secretRef", "secretKeyRef"))):
        for field in fields:
            if field in source:
                return kind, source[field]["name"]
    raise ValueError(f"refers to neither a ConfigMap nor a Secret: {source}")


def selects(selector, labels):
    """Whether a label selector matches the labels; one without conditions matches everything."""
    holds = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    return all(labels.get(key) == value for key, value in wanted) and all(
        holds[rule["operator"]](rule["key"], rule.get("values", [])) for rule in expressions
    )
