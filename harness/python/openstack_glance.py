"""OpenStack's own Image API on SQLite and a folder, both in the current directory, with callers identified by headers.

It trusts `X-Identity-Status: Confirmed` with X-User-Id, X-Project-Id and X-Roles, as it would behind Keystone's
middleware.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path.cwd()

API = f"""
[DEFAULT]
enabled_import_methods = []
worker_self_reference_url = http://127.0.0.1
[database]
connection = sqlite:///{HERE}/glance.sqlite
[glance_store]
filesystem_store_datadir = {HERE}/data
[paste_deploy]
config_file = {HERE}/paste.ini
"""

# The pipeline `keystone` of Glance's configuration, without the middleware that validates tokens.
PASTE = """
[composite:glance-api]
paste.composite_factory = glance.api:root_app_factory
/: api
/healthcheck: healthcheck
[pipeline:api]
pipeline = http_proxy_to_wsgi versionnegotiation context rootapp
[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app
[app:apiversions]
paste.app_factory = glance.api.versions:create_resource
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
"""


def prepare():
    (HERE / "data").mkdir()
    (HERE / "glance-api.conf").write_text(API)
    (HERE / "paste.ini").write_text(PASTE)
    manage = pathlib.Path(sys.executable).with_name("glance-manage")
    subprocess.run([manage, "--config-file", HERE / "glance-api.conf", "db", "sync"], check=True, stdout=sys.stderr)


def serve():
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(HERE)
    # Both read the configuration on import.
    from glance.wsgi.api import application
    from waitress.server import create_server

    server = create_server(application, host="127.0.0.1", port=0, threads=4)
    print(f"glance listening on 127.0.0.1:{server.effective_port}", flush=True)
    server.run()


if __name__ == "__main__":
    prepare()
    serve()
