"""`godwit cloud fota`: jobs that bring a bundle to devices: create, list, show, follow, apply, cancel, delete.

nrfcloud.md 11 and 14.2. Making a job is never repeated on its own: two jobs would update a device twice.
"""

import click

from . import times
from .api import part
from .command import command, confirm
from .doc import number, obj, texts, words
from .errors import CloudError
from .follow import Follower
from .screen import size
from .screen import status as status_text

_MAX_TARGETS = 100
_FAILED = ("failed", "rejected", "timedOut", "cancelled")


@click.group()
def fota():
    """Create, follow, cancel ... firmware updates over the air."""


@command(fota)
@click.argument("bundle_id")
@click.option("--device", "devices", multiple=True, help="Target; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="Every device with this tag; may be repeated.")
@click.option("--name", help="At most 64 characters.")
@click.option("--description", help="At most 1024 characters.")
@click.option("--no-apply", is_flag=True, help="Make it only; `fota apply` starts it.")
@click.option("--follow", is_flag=True, help="Stay and show how it goes.")
def create(cloud, bundle_id, devices, tags, name, description, no_apply, follow):
    """Make a job that brings BUNDLE_ID to devices, or to all with a tag."""
    if bool(devices) == bool(tags):
        raise click.UsageError("--device or --tag, one of the two kinds")
    if len(devices or tags) > _MAX_TARGETS:
        raise CloudError(f"{len(devices or tags)} targets: a job takes {_MAX_TARGETS}; give the devices a tag")
    if follow and no_apply:
        raise click.UsageError("there is nothing to follow with --no-apply")
    body = {"bundleId": bundle_id, "autoApply": not no_apply}
    body.update({"deviceIds": list(devices)} if devices else {"tags": list(tags)})
    body.update({key: value for key, value in (("name", name), ("description", description)) if value})
    answer = cloud.api.call("POST", "/fota-jobs", json=body, makes="the job (`godwit cloud fota list` shows it)")
    job = answer.get("jobId") if isinstance(answer, dict) else None
    if not isinstance(job, str):
        raise CloudError("the service answered without a jobId; `godwit cloud fota list` shows what there is")
    if cloud.as_json:
        cloud.screen.json_line({"jobId": job})
    cloud.screen.say(f"job {job} made" + (", not applied" if no_apply else ""), "green")
    if follow:
        return _follow(cloud, job)
    return 0


@command(fota, "list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
def list_jobs(cloud, limit):
    """List jobs."""
    found = list(cloud.api.pages("/fota-jobs", limit))
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("job", "status", "firmware", "done>", "failed>", "name", "created")
    cloud.screen.table(columns, map(_row, found), "no jobs")


@command(fota)
@click.argument("job")
def show(cloud, job):
    """Show one job and how far its devices are."""
    document = cloud.api.object("GET", f"/fota-jobs/{part(job)}")
    executions = list(cloud.api.pages(f"/fota-job-execution-statuses/{part(job)}"))
    if cloud.as_json:
        return cloud.screen.json({**document, "executions": executions})
    target, firmware = obj(document, "target"), obj(document, "firmware")
    cloud.screen.fields(
        [
            ("job", document.get("jobId")),
            ("name", document.get("name")),
            ("description", document.get("description")),
            ("status", status_text(document.get("status"))),
            ("detail", document.get("statusDetail")),
            ("target tags", ", ".join(texts(target.get("tags")))),
            ("bundle", firmware.get("bundleId")),
            ("firmware", words(firmware, "firmwareType", "version")),
            ("size", size(firmware.get("fileSize"))),
            ("created", times.show(document.get("createdAt"))),
            ("completed", document.get("completedAt") and times.show(document["completedAt"])),
        ]
    )
    rows = (
        (item.get("deviceId"), status_text(item.get("status")), times.show(item.get("lastUpdatedAt")),
         item.get("statusDetail"))
        for item in executions
    )  # fmt: skip
    cloud.screen.table(("device", "status", "since", "detail"), rows, "no device has it yet")


@command(fota)
@click.argument("job")
@click.option("--interval", type=click.FloatRange(0.2, 600), default=2.0, show_default=True, help="Look every .. s.")
@click.option("--for", "seconds", type=click.FloatRange(0), help="Give up watching after so many seconds (status 1).")
def follow(cloud, job, interval, seconds):
    """Show how a job goes, until every device has ended; exit status 0 only when all have succeeded."""
    return _follow(cloud, job, interval, seconds)


@command(fota)
@click.argument("job")
def apply(cloud, job):
    """Start a job that was made with --no-apply."""
    cloud.api.call("POST", f"/fota-jobs/{part(job)}/apply", makes="its executions")
    return _done(cloud, job, "applied")


@command(fota)
@click.argument("job")
@click.option("--reason", help="Goes into the status detail.")
def cancel(cloud, job, reason):
    """Cancel a job. Devices that have it already stop at their next look, unless they are past the download."""
    params = {"reason": reason} if reason else None
    cloud.api.call("PUT", f"/fota-jobs/{part(job)}/cancel", params=params)
    return _done(cloud, job, "cancelled")


@command(fota)
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(cloud, jobs, yes):
    """Delete jobs; executions that devices have are not affected: cancel first."""
    confirm(yes, f"Delete {', '.join(jobs)}?")
    for job in jobs:
        cloud.api.call("DELETE", f"/fota-jobs/{part(job)}")
        cloud.screen.say(f"{job} deleted", "green")
    if cloud.as_json:
        cloud.screen.json({"deleted": list(jobs)})


def _follow(cloud, job, interval=2.0, seconds=None):
    return Follower(cloud, job, interval).run(seconds)


def _done(cloud, job, word):
    if cloud.as_json:
        cloud.screen.json({"jobId": job, "done": word})
    cloud.screen.say(f"{job} {word}", "green")
    return 0


def _row(item):
    stats, firmware = obj(item, "executionStats"), obj(item, "firmware")
    failed = sum(int(number(stats.get(name))) for name in _FAILED)
    total = int(number(stats.get("executions")) or number(stats.get("devices")))
    return (
        item.get("jobId"),
        status_text(item.get("status")),
        words(firmware, "firmwareType", "version"),
        f"{int(number(stats.get('completedExecutions')))} of {total}",
        failed or None,
        item.get("name"),
        times.show(item.get("createdAt")),
    )
