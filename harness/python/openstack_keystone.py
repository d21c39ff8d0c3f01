"""OpenStack's own Keystone on SQLite, in the folder that is its first argument.

    prepare FOLDER              makes it: its database, its keys, and the accounts below
    rekey FOLDER                makes other keys: what it has issued is not valid any more
    serve FOLDER PORT LIFETIME  serves it; its tokens last so many seconds
    publish FOLDER TYPE URL     says in its catalogue where the service of that type is

Each user is alone in the project of its name, but for demo_reader, which reads in demo, and the services.
"""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
import urllib.request

PASSWORD = "secret"

# The endpoint of services until it is set.
NOWHERE = "http://127.0.0.1:1"

USERS = {
    "demo": ("demo", ["member", "reader"]),
    "demo_reader": ("demo", ["reader"]),
    "alt_demo": ("alt_demo", ["member", "reader"]),
    "glance": ("service", ["service"]),
    # Its jobs also complete operators' requests.
    "nova": ("service", ["service", "admin"]),
}

CONFIGURATION = """
[database]
connection = sqlite:///{folder}/keystone.sqlite
[token]
provider = fernet
expiration = {lifetime}
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = false
[identity]
password_hash_rounds = 4
[revoke]
caching = false
"""


def configure(folder, lifetime):
    for keys in ("fernet", "credential"):
        (folder / keys).mkdir(mode=0o700, exist_ok=True)
    (folder / "keystone.conf").write_text(CONFIGURATION.format(folder=folder, lifetime=lifetime))


def manage(folder, *commands):
    program = pathlib.Path(sys.executable).with_name("keystone-manage")
    for command in commands:
        subprocess.run([program, "--config-file", folder / "keystone.conf", *command], check=True, stdout=sys.stderr)


WHO = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]


def rekey(folder):
    configure(folder, 3600)
    manage(folder, ["fernet_setup", *WHO])


def prepare(folder):
    configure(folder, 3600)
    bootstrap = ["bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne"]
    urls = [f"--bootstrap-{interface}-url={NOWHERE}" for interface in ("public", "internal", "admin")]
    manage(folder, ["db_sync"], ["fernet_setup", *WHO], ["credential_setup", *WHO], [*bootstrap, *urls])
    server = served(folder, 0)
    threading.Thread(target=server.run, daemon=True).start()
    admin = Admin(server.effective_port)
    make_accounts(admin)
    make_catalogue(admin)


def served(folder, port):
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(folder / "keystone.conf")
    # It parses sys.argv on import.
    del sys.argv[1:]
    from keystone.wsgi.api import application
    from waitress.server import create_server

    def logged(environ, start):
        print(environ["REQUEST_METHOD"], environ["PATH_INFO"], file=sys.stderr, flush=True)
        return application(environ, start)

    return create_server(logged, host="127.0.0.1", port=port, threads=4)


def serve(folder, port, lifetime):
    configure(folder, lifetime)
    server = served(folder, int(port))
    publish(folder, "identity", f"http://127.0.0.1:{server.effective_port}/v3")
    print(f"keystone listening on 127.0.0.1:{server.effective_port}", flush=True)
    server.run()


class Admin:
    """Calls of the API as admin."""

    def __init__(self, port):
        self.url, self.token = f"http://127.0.0.1:{port}/v3", None
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        _, self.token = self.send("POST", "/auth/tokens", {"auth": {"identity": identity, "scope": scope}})

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": self.token} if self.token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None, answer.headers.get("X-Subject-Token")

    def make(self, kind, values):
        """Creates something with this name, and returns its id."""
        return self.send("POST", f"/{kind}s", {kind: values})[0][kind]["id"]

    def ids(self, kind):
        return {found["name"]: found["id"] for found in self.send("GET", f"/{kind}s")[0][f"{kind}s"]}


def make_accounts(admin):
    roles = admin.ids("role")
    projects = {
        name: admin.make("project", {"name": name, "domain_id": "default"})
        for name in sorted({project for project, _ in USERS.values()})
    }
    for name, (project, given) in USERS.items():
        user = admin.make("user", {"name": name, "password": PASSWORD, "domain_id": "default"})
        for role in given:
            admin.send("PUT", f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}")


def make_catalogue(admin):
    for kind in ("image", "compute"):
        service = admin.make("service", {"type": kind, "name": kind})
        for interface in ("public", "internal", "admin"):
            values = {"service_id": service, "interface": interface, "region_id": "RegionOne", "url": NOWHERE}
            admin.make("endpoint", values)


def publish(folder, kind, url):
    # Doing this through its API takes long, and it has no cache.
    with sqlite3.connect(folder / "keystone.sqlite", timeout=30) as database:
        service = "SELECT id FROM service WHERE type = ?"
        database.execute(f"UPDATE endpoint SET url = ? WHERE service_id = ({service})", (url, kind))


if __name__ == "__main__":
    command, folder, *arguments = sys.argv[1:]
    commands = {"prepare": prepare, "rekey": rekey, "serve": serve, "publish": publish}
    commands[command](pathlib.Path(folder), *arguments)
