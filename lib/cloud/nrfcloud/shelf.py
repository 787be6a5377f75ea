"""The download of predictions for nRF Cloud: apart from predict.py, because it wants the heap for itself."""

from micropython import const

import coap
from cloud.base import CloudError
from gnss.download import discard, download
from gnss.pgps import PgpsError

_SERVER_ERROR = const(0xA0)


async def predictions(cloud, folder, job, mv):
    """Verb of cloud.base."""

    def read(offset, view):
        return cloud.update_read(job, offset, view)

    try:
        return await download(folder, job, read, mv)
    except coap.Refused as refused:
        if refused.code < _SERVER_ERROR and refused.retry_after is None:
            discard(folder)  # the file is not there any more: ask anew the next time
        raise
    except PgpsError as problem:
        raise CloudError(str(problem)) from None
