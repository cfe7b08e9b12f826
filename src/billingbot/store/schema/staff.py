"""Who may sign in, the browsers that are signed in, one-time links; and what admins look for in a customer's name."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from billingbot.core.access.person import Theme
from billingbot.core.access.powers import Role
from billingbot.core.access.session import LinkPurpose, SignedInBy, StepPurpose
from billingbot.core.privacy import SearchState
from billingbot.store.schema.base import metadata, one_of, time

_ROLES = ", ".join(f"'{role}'" for role in Role)

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # What spellings of one name have in common: nobody is two people to the rule of two.
    Column("name_key", Text, nullable=False, unique=True),
    Column("email", Text, unique=True),
    Column("roles", ARRAY(Text), CheckConstraint(f"roles <@ ARRAY[{_ROLES}]::text[]", name="roles"), nullable=False),
    Column("password_hash", Text),
    Column("totp_secret", Text),
    # The last time step that a code was taken for: no code opens anything twice.
    Column("totp_last_step", BigInteger),
    Column("recovery_digests", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("oidc_issuer", Text),
    Column("oidc_subject", Text),
    Column("locale", Text, nullable=False, server_default="en"),
    Column("zone", Text, nullable=False, server_default="UTC"),
    Column(
        "theme", Text, CheckConstraint(one_of("theme", Theme), name="theme"), nullable=False, server_default="system"
    ),
    time("created_at", now=True),
    time("disabled_at", optional=True),
    time("last_seen_at", optional=True),
    UniqueConstraint("oidc_issuer", "oidc_subject"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column(
        "signed_in_by", Text, CheckConstraint(one_of("signed_in_by", SignedInBy), name="signed_in_by"), nullable=False
    ),
    Column("user_agent", Text, nullable=False),
    time("created_at", now=True),
    time("last_seen_at", now=True),
    time("expires_at"),
    time("revoked_at", optional=True),
    Index("ix_sessions_person_id", "person_id", "created_at"),
)

# A link signs in whom it names; the first admin's makes that person, once, while there is nobody.
sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("purpose", Text, CheckConstraint(one_of("purpose", LinkPurpose), name="purpose"), nullable=False),
    Column("person_id", Text, ForeignKey("people.id")),
    Column("name", Text),
    Column("made_by", Text, nullable=False),
    time("created_at", now=True),
    time("expires_at"),
    time("used_at", optional=True),
    CheckConstraint("(person_id IS NULL) = (purpose = 'first_admin')", name="whom"),
    Index("ix_sign_in_links_person_id", "person_id"),
)

# Somebody in the middle of coming in, or of setting up a second factor; the browser holds the secret.
sign_in_steps = Table(
    "sign_in_steps",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("purpose", Text, CheckConstraint(one_of("purpose", StepPurpose), name="purpose"), nullable=False),
    Column("person_id", Text, ForeignKey("people.id")),
    # What this step needs to go on, as JSON: never a password.
    Column("kept", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    time("created_at", now=True),
    time("expires_at"),
    Index("ix_sign_in_steps_expires_at", "expires_at"),
)

# How often somebody tried, by account and by address; the key is a digest.
sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tries", Integer, nullable=False),
    time("since"),
    Index("ix_sign_in_tries_since", "since"),
)

# Searches for a customer's personal data. The address is sealed where there is a key, and goes when a search ends.
personal_data_searches = Table(
    "personal_data_searches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, CheckConstraint(one_of("state", SearchState), name="state"), nullable=False),
    Column("address", Text),
    Column("asked_by", Text, nullable=False),
    Column("agreed_by", Text),
    Column("rows_total", BigInteger),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    Column("held", Text),
    Column("finds", Text),
    Column("erased", Text),
    time("began_at", now=True),
    time("ended_at", optional=True),
)
