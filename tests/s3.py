"""An S3-like store on this machine, as moto has it."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
ACCESS = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Give the URL of a server that has one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {name.lower(): value for name, value in ACCESS.items() if "KEY" in name}
        boto3.client("s3", endpoint_url=url, region_name=ACCESS["AWS_DEFAULT_REGION"], **keys).create_bucket(
            Bucket=BUCKET
        )
        yield url
    finally:
        server.stop()
