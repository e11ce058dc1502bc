"""Webhooks and their deliveries: what may be asked for, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import Field

from api.schemas.shapes import Answer
from models.frozen import Frozen
from models.spec import Text
from store import webhooks
from store.destinations import LONGEST_URL
from store.outbox import Delivery, Listed
from store.webhooks import DEFAULT_EVENTS, Event, Webhook

Url = Annotated[
    str, Field(min_length=1, max_length=LONGEST_URL, examples=["https://hooks.example.com/ridgeline"])
]
Events = Annotated[list[Event], Field(min_length=1, max_length=20)]
DeliveryStatus = Literal["pending", "delivered", "dead"]


class WebhookRequest(Frozen):
    """Where to send what."""

    url: Url
    """Public and `https`; whoever runs the server may exempt hosts of their own."""
    events: Events = Field(default=list(DEFAULT_EVENTS))
    """What to tell of."""
    description: Text | None = None
    """For people."""


class WebhookChanges(Frozen):
    """What is to become different; what is left out, or null, stays (but a description that is null goes)."""

    url: Url | None = None
    events: Events | None = None
    description: Text | None = None
    enabled: bool | None = None
    """Disabling gives up what still waits to be sent; enabling begins with what happens from then on."""

    def said(self) -> dict[str, Any]:
        """The changes by column."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in given.items() if value is not None or name == "description"}


class WebhookAnswer(Answer):
    """A webhook, without its secret."""

    id: str
    url: str
    events: list[Event]
    description: str | None
    enabled: bool
    disabled_detail: str | None
    """Why it was disabled, where nobody asked for that: its receiver answered 410."""
    old_secret_until: datetime | None
    """After a rotation: until then the old secret signs too."""
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        """The answer for a row."""
        return cls(**_parts(webhook))


class WebhookSecret(WebhookAnswer):
    """A webhook with its secret, which is told this once."""

    secret: str
    """Verifies what is sent, with any library for Standard Webhooks."""

    @classmethod
    def told(cls, webhook: Webhook, secret: str) -> Self:
        """The answer for a row with a fresh secret."""
        return cls(**_parts(webhook), secret=secret)


def _parts(webhook: Webhook) -> dict[str, Any]:
    own = {name: getattr(webhook, name) for name in webhooks.Webhook.__dataclass_fields__}
    address = f"/v1/webhooks/{webhook.id}"
    return {**own, "links": {"self": address, "deliveries": f"{address}/deliveries"}}


class DeliveryAnswer(Answer):
    """Something a webhook was told, or is to be."""

    id: str
    """The header `webhook-id`: the same however often it is sent."""
    webhook_id: str
    job_id: str | None
    event: str
    status: DeliveryStatus
    """`dead`: given up; it stays for 30 days, and can be sent again."""
    attempts: int
    next_attempt_at: datetime | None
    """While it is pending; while it is just being sent, when it is sent again if that comes to nothing."""
    response_status: int | None
    """What the receiver answered last; null where no answer came."""
    detail: str | None
    """Why the last attempt failed."""
    created_at: datetime
    ended_at: datetime | None
    links: dict[str, str]

    @classmethod
    def of(cls, delivery: Listed) -> Self:
        """The answer for a row."""
        return cls(**_delivery_parts(delivery))


class DeliveryDetail(DeliveryAnswer):
    """A delivery with what is sent."""

    payload: dict[str, Any]

    @classmethod
    def of(cls, delivery: Listed) -> Self:
        """The answer for a row with its payload."""
        if not isinstance(delivery, Delivery):
            raise TypeError("a listed row has no payload")
        return cls(**_delivery_parts(delivery), payload=orjson.loads(delivery.payload))


def _delivery_parts(delivery: Listed) -> dict[str, Any]:
    own = {name: getattr(delivery, name) for name in Listed.__dataclass_fields__ if name != "due_at"}
    address = f"/v1/webhooks/{delivery.webhook_id}"
    links = {"self": f"{address}/deliveries/{delivery.id}", "webhook": address}
    if delivery.job_id:
        links["job"] = f"/v1/jobs/{delivery.job_id}"
    due_at = delivery.due_at if delivery.status == "pending" else None
    return {**own, "next_attempt_at": due_at, "links": links}
