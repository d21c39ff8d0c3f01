"""Prints the part of a rendered overlay that podman plays: one Deployment with its volumes, reachable from outside.

    pods.py RENDERED DEPLOYMENT GRPC_PORT ADMIN_PORT [FOLDER...]

Both ports are on 127.0.0.1. FOLDERs are those of this machine with the libraries of a program that is not static.
"""

import pathlib
import sys

import yaml


def main(rendered, name, grpc, admin, *folders):
    resources = [each for each in yaml.safe_load_all(pathlib.Path(rendered).read_text()) if each]
    deployment = find(resources, "Deployment", name)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # Services are Kubernetes' own.
    for port in container["ports"]:
        port |= {"hostIP": "127.0.0.1", "hostPort": int({"grpc": grpc, "admin": admin}[port["name"]])}
    if name == "nova-api":
        # Its creates wait for a glance that was made to stand still, on a machine that may be slow.
        container["env"] = [{"name": "GLANCE_TIMEOUT_MS", "value": "30000"}]
    needed = [find(resources, "ConfigMap", source["configMapRef"]["name"]) for source in container["envFrom"]]
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            needed.append(find(resources, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    apart(name, pod["volumes"], container["volumeMounts"])
    for number, folder in enumerate(folders):
        volume = f"{name}-libraries-{number}"
        pod["volumes"].append({"name": volume, "hostPath": {"path": folder, "type": "Directory"}})
        container["volumeMounts"].append({"name": volume, "mountPath": folder, "readOnly": True})
    print(yaml.safe_dump_all([*needed, deployment]))


def find(resources, kind, name):
    return next(each for each in resources if (each["kind"], each["metadata"]["name"]) == (kind, name))


def apart(deployment, volumes, mounts):
    """To podman, volumes of the same name are the same one, in whatever pod they are."""
    for named in [volume for volume in volumes if "emptyDir" in volume]:
        old, named["name"] = named["name"], f"{deployment}-{named['name']}"
        for mount in mounts:
            if mount["name"] == old:
                mount["name"] = named["name"]


if __name__ == "__main__":
    main(*sys.argv[1:])
