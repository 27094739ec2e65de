"""Who uses the server in these tests: its administrator, and people made on the spot."""

import dataclasses
import uuid

from keystoneauth1 import adapter, session
from keystoneauth1.identity import v3

from support.servers import ADMIN_PASSWORD, Identity


def unique(word):
    """A name that nothing else in the run bears."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


def admin_login(identity, **scope):
    """The administrator's password plugin, scoped to the project admin unless told otherwise."""
    return v3.Password(
        f"{identity.url}/v3",
        username="admin",
        password=ADMIN_PASSWORD,
        user_domain_id="default",
        **(scope or {"project_name": "admin", "project_domain_id": "default"}),
    )


def api(identity, plugin):
    """The v3 API as whoever logs in by `plugin` sees it, over TLS."""
    client = session.Session(auth=plugin, verify=str(identity.cacert))
    return adapter.Adapter(client, endpoint_override=f"{identity.url}/v3")


def role_id(admin, name):
    """The id of a global role."""
    [role] = admin.get("/roles", params={"name": name}).json()["roles"]
    return role["id"]


@dataclasses.dataclass
class Person:
    """A user with a password, and roles on a project of its own in the default domain."""

    identity: Identity
    admin: adapter.Adapter
    id: str
    name: str
    password: str
    project_id: str

    @classmethod
    def create(cls, identity, admin, roles):
        name = unique("person")
        password = unique("password")
        project = admin.post("/projects", json={"project": {"name": unique("project")}}).json()["project"]
        user = {"name": name, "password": password, "domain_id": "default"}
        user = admin.post("/users", json={"user": user}).json()["user"]
        person = cls(identity, admin, user["id"], name, password, project["id"])
        for role in roles:
            admin.put(person.grant(role))
        return person

    def grant(self, role):
        """The path of a role assignment on this person's project."""
        return f"/projects/{self.project_id}/users/{self.id}/roles/{role_id(self.admin, role)}"

    def login(self, **scope):
        """The password plugin, scoped to this person's project unless told otherwise."""
        return v3.Password(
            f"{self.identity.url}/v3",
            user_id=self.id,
            password=self.password,
            **(scope or {"project_id": self.project_id}),
        )

    def api(self):
        """The v3 API as this person sees it."""
        return api(self.identity, self.login())

    def application_credential(self, **fields):
        """A new application credential, with its secret."""
        body = {"application_credential": {"name": unique("credential"), **fields}}
        path = f"/users/{self.id}/application_credentials"
        return self.api().post(path, json=body).json()["application_credential"]

    def update(self, **fields):
        """Changes the user as an administrator would."""
        self.admin.patch(f"/users/{self.id}", json={"user": fields})
