"""A server of the S3 protocol on loopback, for tests and for what is run by hand.

Owns what it takes for S3's promise to hold: of two conditional puts that saw the same state, one succeeds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from unittest import mock

BUCKET: Final = "arrays"


class _OneAtATime:
    """An application that answers one request after the other.

    moto looks at a condition first and puts the object later; S3 does both at once.
    """

    def __init__(self, app):
        self._app, self._turn = app, threading.Lock()

    def __call__(self, environ, start_response):
        with self._turn:
            return list(self._app(environ, start_response))


@contextmanager
def s3_server() -> Iterator[None]:
    """Serve one empty bucket, and have the environment lead obstore, here and in children, there."""
    import boto3
    from moto.moto_server import threaded_moto_server
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    plain = threaded_moto_server.DomainDispatcherApplication
    with mock.patch.object(
        threaded_moto_server, "DomainDispatcherApplication", lambda create: _OneAtATime(plain(create))
    ):
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
        }
        with mock.patch.dict("os.environ", environment):
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
            yield
        server.stop()
