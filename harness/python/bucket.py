"""An S3-compatible bucket: `serve` runs one, `count ENDPOINT` prints how many objects and open uploads it has."""

import sys
import threading

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "images"


def client(endpoint):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def serve():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client(f"http://{host}:{port}").create_bucket(Bucket=BUCKET)
    print(f"bucket listening on {host}:{port}", flush=True)
    threading.Event().wait()


def count(endpoint):
    bucket = client(endpoint)
    objects = bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    uploads = bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    print(len(objects), len(uploads))


if __name__ == "__main__":
    {"serve": serve, "count": count}[sys.argv[1]](*sys.argv[2:])
