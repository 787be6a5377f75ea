"""The operator's commands in this process, against a service that is a table of answers (httpx.MockTransport).

`Service` answers what it was told to and keeps every request; `run` is the command line without a process:
the same group, the same errors, no real waiting (the waits asked for are in `service.waits`).
"""

import json
import re
from dataclasses import dataclass

import click
import httpx
from click.testing import CliRunner

from godwit.cloud.command import cloud

KEY = "secret-key-of-the-team"
URL = "https://api.nrfcloud.com/v1"


@dataclass
class Outcome:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Service:
    """Answers by (method, path pattern below the base): a value, a (status, value), an exception or a callable."""

    def __init__(self, table=None):
        self.requests = []
        self.waits = []
        self._table = []
        for what, answers in (table or {}).items():
            self.on(what, *(answers if isinstance(answers, list) else [answers]))

    def on(self, what, *answers):
        """`what` is "GET /devices/.*"; the last of `answers` stays."""
        method, pattern = what.split(" ", 1)
        self._table.append((method, re.compile(pattern), list(answers)))

    def bodies(self, method, path):
        """The JSON bodies of all requests to a path, in order."""
        return [json.loads(one.content) for one in self.requests if (one.method, self.path(one)) == (method, path)]

    def count(self, method, path):
        return sum((one.method, self.path(one)) == (method, path) for one in self.requests)

    @staticmethod
    def path(request):
        return request.url.path.removeprefix("/v1")

    def handle(self, request):
        self.requests.append(request)
        for method, pattern, answers in self._table:
            if method == request.method and pattern.fullmatch(self.path(request)):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                return self._make(answer, request)
        raise AssertionError(f"nobody expected {request.method} {request.url}")

    def _make(self, answer, request):
        if isinstance(answer, type) and issubclass(answer, Exception):
            answer = answer("planted")
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return self._make(answer(request), request)
        if isinstance(answer, httpx.Response):
            # a response can be read once; a row of the table may be used often
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        status, value = answer if isinstance(answer, tuple) else (200, answer)
        return httpx.Response(status, content=b"" if value is None else json.dumps(value).encode())

    def run(self, *args, stdin=None, env=None, url=URL):
        """Run `godwit cloud ARGS`; returns an Outcome."""
        wiring = {"transport": httpx.MockTransport(self.handle), "sleep": self.waits.append, "jitter": lambda: 1.0}
        environment = {"GODWIT_CLOUD_URL": url, "GODWIT_CLOUD_KEY": KEY, "GODWIT_CLOUD_KEY_FILE": None, **(env or {})}
        runner = CliRunner(env=environment)
        done = runner.invoke(cloud, list(map(str, args)), obj=wiring, input=stdin, standalone_mode=False)
        status, err = done.return_value if isinstance(done.return_value, int) else 0, done.stderr
        if isinstance(done.exception, click.ClickException):
            status, err = done.exception.exit_code, err + f"Error: {done.exception.format_message()}\n"
        elif done.exception is not None:
            raise done.exception
        assert KEY not in done.stdout + err, "the key was printed"
        return Outcome(status, done.stdout, err)


def page(*items, token=None):
    """A list answer."""
    return {"items": list(items), "total": len(items), **({"pageNextToken": token} if token else {})}
