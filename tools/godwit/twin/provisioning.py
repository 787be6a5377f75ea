"""The provisioning service: identities, claims, rules, tags, and the queue of commands of each device (facts 13).

A device is claimed with its attestation token, which is checked with the public half of its identity key. The service
has those from the factory; here they are registered (PUT /twin/identities). Rules whose tag the claim has are applied
when the device comes to ask. A command becomes steps (provisioning_steps.py), each with a correlation of its own; the
first one that fails takes all later ones of the queue with it. The answer to a cloud access key registers the key and
onboards the device under its UUID.
Called by site.py (identity tokens), provisioning_api.py (device side) and rest_provisioning.py (operator side).
"""

import dataclasses
import re
import uuid

from . import auth, provisioning_cose
from .errors import BAD_REQUEST, ENTITY_NOT_FOUND, ApiError, invalid, not_found
from .provisioning_steps import AT, ERROR, Step, keygen_value, steps_of
from .store import dumps, iso, loads

MAX_COMMANDS = 20
_ALREADY_CLAIMED = 40101
_TAG = re.compile(r"[a-zA-Z0-9_.@:#=/ -]{1,128}")
_DEVICE_TYPES = {
    1: "nrf9160_SIAA",
    2: "nrf9160_SIBA",
    3: "nrf9160_SICA",
    4: "nrf9161_LACA",
    5: "nrf9131_LACA",
    6: "nrf9151_LACA",
}


class Provisioning:
    """State of the service in the store's tables identity, claim, prov_*."""

    def __init__(self, store, devices):
        self._store = store
        self._devices = devices

    # --- identities and claims

    def register(self, device, key_pem, imei=None):
        """What the factory knows of a modem: UUID, public identity key (PEM), IMEI. Raises ApiError 422."""
        device = _uuid(device)
        try:
            pem = auth.load_public_key(key_pem if isinstance(key_pem, str) else "")
        except ValueError as exc:
            raise invalid(str(exc)) from exc
        sql = "INSERT OR REPLACE INTO identity (uuid, public_key, imei) VALUES (?, ?, ?)"
        self._store.run(sql, device, pem, imei)

    def identity_key(self, device):
        """Public identity key (PEM) of a claimed device, or None."""
        sql = "SELECT public_key FROM identity JOIN claim ON claim.uuid = identity.uuid WHERE identity.uuid = ?"
        return self._store.value(sql, device)

    def claim(self, token, tags=(), dry_run=False):
        """Claim a device by its token -> UUID. Raises ApiError 404 (not of our factory), 409 (claimed), 422."""
        tags = _tags(tags)
        try:
            found = provisioning_cose.claim_token(token)
        except provisioning_cose.ProofError as exc:
            raise invalid(f"claimToken not valid: {exc}") from exc
        key = self._store.value("SELECT public_key FROM identity WHERE uuid = ?", found.uuid)
        if key is None:
            raise not_found(f"no device {found.uuid} was made by our factory (PUT /twin/identities)", ENTITY_NOT_FOUND)
        try:
            found.check(key)
        except provisioning_cose.ProofError as exc:
            raise invalid(f"claimToken not valid: {exc}") from exc
        if self.claimed(found.uuid):
            raise ApiError(409, _ALREADY_CLAIMED, f"device {found.uuid} is already claimed")
        if not dry_run:
            self._store.insert(
                "claim", uuid=found.uuid, device_type=found.device_type, firmware=found.firmware, tags=dumps(tags),
                claimed_at=self._store.now_ms(), applied="[]",
            )  # fmt: skip
        return found.uuid

    def claimed(self, device):
        """Is there a claim for this UUID?"""
        return self._store.one("SELECT 1 FROM claim WHERE uuid = ?", device) is not None

    def unclaim(self, device):
        """Give the claim up: its queue and the onboarded device go with it. Raises ApiError 404."""
        if not self._store.run("DELETE FROM claim WHERE uuid = ?", device):
            raise _unknown(device)
        for table in ("prov_command", "prov_step"):
            self._store.run(f"DELETE FROM {table} WHERE uuid = ?", device)
        if self._devices.exists(device):
            self._devices.delete(device)

    def claim_document(self, device):
        """The claimed device as the service shows it. Raises ApiError 404."""
        return self.render_claim(self._claim(device))

    def render_claim(self, row):
        """The claimed device of a row."""
        return {
            "id": row["uuid"],
            "deviceType": _DEVICE_TYPES.get(row["device_type"], f"unknown_{row['device_type']}"),
            "firmwareId": row["firmware"],
            "imei": self._store.value("SELECT imei FROM identity WHERE uuid = ?", row["uuid"]),
            "ownerId": self._store.tenant,
            "ownershipStatus": "IDENTIFIED",
            "tags": loads(row["tags"]),
            "status": "READY",
            "claimedAt": iso(row["claimed_at"]),
        }

    # --- rules

    def add_rule(self, name, description, active, commands, tags):
        """Store a rule -> its id. Raises ApiError 422."""
        if not isinstance(name, str) or not 1 <= len(name) <= 128 or not isinstance(description, str):
            raise invalid("name is a text of 1 to 128 characters, description a text")
        if not isinstance(active, bool):
            raise invalid("active is true or false")
        if not isinstance(commands, list) or not 1 <= len(commands) <= MAX_COMMANDS:
            raise invalid(f"commands is an array of 1 to {MAX_COMMANDS}")
        for command in commands:
            if not isinstance(command, dict):
                raise invalid("a command is an object")
            steps_of(command.get("request"))
        rule = str(uuid.uuid4())
        self._store.insert(
            "prov_rule", id=rule, name=name, description=description, active=int(active), commands=dumps(commands),
            tags=dumps(_tags(tags)), created_at=self._store.now_ms(),
        )  # fmt: skip
        return rule

    def _apply_rules(self, device):
        """Queue what the rules say that this claim's tags ask for, each rule once a claim; "finished" at the end."""
        claim = self._claim(device)
        applied, tags = loads(claim["applied"]), set(loads(claim["tags"]))
        rows = self._store.all("SELECT * FROM prov_rule WHERE active ORDER BY n")
        due = [row for row in rows if row["id"] not in applied and tags & set(loads(row["tags"]))]
        for row in due:
            commands = loads(row["commands"])
            if not any("finished" in command["request"] for command in commands):
                commands.append({"description": "end of the rule", "request": {"finished": {}}})
            for command in commands:
                self._queue(device, command["request"], command.get("description") or row["name"])
        if due:
            applied += [row["id"] for row in due]
            self._store.run("UPDATE claim SET applied = ? WHERE uuid = ?", dumps(applied), device)

    # --- the queue, operator side

    def add(self, device, request, description=""):
        """Queue a command -> its id. Raises ApiError 404, 422."""
        self._claim(device)
        if not isinstance(description, str) or len(description) > 1024:
            raise invalid("description is a text")
        sql = "SELECT COUNT(*) FROM prov_command WHERE uuid = ? AND status IN ('PENDING', 'IN_PROGRESS')"
        if self._store.value(sql, device) >= MAX_COMMANDS:
            raise invalid(f"up to {MAX_COMMANDS} commands wait for a device")
        return self._queue(device, request, description)

    def _queue(self, device, request, description):
        kind, sec_tag, steps = steps_of(request)
        command, now = str(uuid.uuid4()), self._store.now_ms()
        with self._store.transaction():
            self._store.insert(
                "prov_command", id=command, uuid=device, kind=kind, sec_tag=sec_tag, request=dumps(request),
                description=description, status="PENDING", created_at=now, updated_at=now,
            )  # fmt: skip
            for step in steps:
                self._store.insert(
                    "prov_step", correlation=str(uuid.uuid4()), command=command, uuid=device, status="PENDING",
                    step=dumps(dataclasses.asdict(step)),
                )  # fmt: skip
        return command

    def command(self, device, command):
        """One queued or executed command. Raises ApiError 404."""
        row = self._store.one("SELECT * FROM prov_command WHERE uuid = ? AND id = ?", device, command)
        if row is None:
            raise not_found("no such provisioning command")
        return self.render_command(row)

    def render_command(self, row):
        """The document of a command's row."""
        document = {
            "id": row["id"],
            "deviceId": row["uuid"],
            "description": row["description"],
            "status": row["status"],
            "request": loads(row["request"]),
            "createdAt": iso(row["created_at"]),
            "updatedAt": iso(row["updated_at"]),
        }
        if row["response"] is not None:
            document["response"] = loads(row["response"])
        return document

    def discard(self, device, command):
        """Take a command that still waits out of the queue. Raises ApiError 404, 409."""
        status = self.command(device, command)["status"]
        if status != "PENDING":
            raise ApiError(409, BAD_REQUEST, f"the command is {status}")
        self._store.run("DELETE FROM prov_step WHERE command = ?", command)
        self._store.run("DELETE FROM prov_command WHERE id = ?", command)

    # --- the queue, device side

    def pending(self, device, after, limit):
        """[(correlation, Step)] that wait for a device, in order, behind the correlation `after` ("" for all)."""
        self._apply_rules(device)
        known = self._store.value("SELECT n FROM prov_step WHERE uuid = ? AND correlation = ?", device, after)
        rows = self._store.all(
            "SELECT * FROM prov_step WHERE uuid = ? AND status = 'PENDING' AND n > ? ORDER BY n LIMIT ?",
            device, known or 0, limit,
        )  # fmt: skip
        return [(row["correlation"], Step(**loads(row["step"]))) for row in rows]

    def handed_out(self, correlations):
        """The device has been given these."""
        for correlation in correlations:
            sql = "SELECT command FROM prov_step WHERE correlation = ?"
            self._set_status(self._store.value(sql, correlation), "IN_PROGRESS")

    def answer(self, device, responses):
        """Take [(correlation, form, code, text)] from a device; all of them or none. Raises ApiError 4.00."""
        rows = []
        for correlation, form, code, text in responses:
            row = self._store.one("SELECT * FROM prov_step WHERE uuid = ? AND correlation = ?", device, correlation)
            if row is None:
                raise ApiError(400, BAD_REQUEST, f"no command has the correlation {correlation[:40]}")
            step = Step(**loads(row["step"]))
            if not step.accepts(form):
                raise ApiError(400, BAD_REQUEST, f"a response of form {form} does not answer {correlation[:40]}")
            rows.append((row, step, form, code, text))
        for row, step, form, code, text in rows:
            current = self._store.value("SELECT status FROM prov_step WHERE n = ?", row["n"])
            if current == "PENDING":  # anything else is the repetition of an answer that we have
                self._take(row, step, form, code, text)

    def _take(self, row, step, form, code, text):
        command = self._store.one("SELECT * FROM prov_command WHERE id = ?", row["command"])
        if form == ERROR and code not in step.ignore:
            self._fail(row, {"error": {"code": code, "message": text}})
            return
        response = loads(command["response"] or "{}").get(command["kind"], {})
        if step.form == AT:
            response["message"] = text
        try:
            self._keys(command, step, text, response)
        except (provisioning_cose.ProofError, ApiError) as exc:
            self._fail(row, {"error": {"code": 0, "message": str(exc)}})
            return
        self._store.run("UPDATE prov_step SET status = 'DONE' WHERE n = ?", row["n"])
        self._store.run(
            "UPDATE prov_command SET response = ? WHERE id = ?", dumps({command["kind"]: response}), command["id"]
        )
        left = "SELECT COUNT(*) FROM prov_step WHERE command = ? AND status = 'PENDING'"
        if not self._store.value(left, command["id"]):
            self._set_status(command["id"], "SUCCEEDED")

    def _keys(self, command, step, text, response):
        """What the answer to a %KEYGEN is good for; a cloud access key onboards the device."""
        if step.command != "%KEYGEN":
            return
        value = keygen_value(text)
        if value:
            response["publicKey" if command["kind"] == "clientPrivateKeyGeneration" else "csr"] = value
        if command["kind"] == "cloudAccessKeyGeneration":
            device = command["uuid"]
            key = provisioning_cose.public_key(value or "", self.identity_key(device), device, command["sec_tag"])
            if self._devices.exists(device):
                self._devices.set_key(device, key)
            else:
                self._devices.onboard(device, key, firmware_types=("APP", "MODEM"))

    def _fail(self, row, response):
        """This step's command has failed; it and all that stands behind it leave the queue."""
        self._store.run("UPDATE prov_command SET response = ? WHERE id = ?", dumps(response), row["command"])
        self._set_status(row["command"], "FAILED")
        later = self._store.all(
            "SELECT DISTINCT command FROM prov_step WHERE uuid = ? AND status = 'PENDING' AND command != ?",
            row["uuid"], row["command"],
        )  # fmt: skip
        for other in later:
            self._set_status(other["command"], "DISCARDED")
        sql = "UPDATE prov_step SET status = 'DISCARDED' WHERE uuid = ? AND status = 'PENDING'"
        self._store.run(sql, row["uuid"])

    def _set_status(self, command, status):
        sql = "UPDATE prov_command SET status = ?, updated_at = ? WHERE id = ?"
        self._store.run(sql, status, self._store.now_ms(), command)

    def _claim(self, device):
        row = self._store.one("SELECT * FROM claim WHERE uuid = ?", device)
        if row is None:
            raise _unknown(device)
        return row


def _unknown(device):
    return not_found(f"device {device} is not claimed")


def _uuid(text):
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError) as exc:
        raise invalid("not a UUID") from exc


def _tags(tags):
    """Tags as a list; one text may hold several with commas between them, as some tools send them."""
    found = [tag.strip() for text in tags for tag in text.split(",")]
    if not all(_TAG.fullmatch(tag) for tag in found):
        raise invalid("tags not valid")
    return list(dict.fromkeys(found))
