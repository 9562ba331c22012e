"""People: accounts, roles, sessions, invitations, API keys."""

from metier.people.types import MAY, PERMISSIONS, ROLES, Permission, Person, Role

__all__ = ["MAY", "PERMISSIONS", "ROLES", "Permission", "Person", "Role"]
