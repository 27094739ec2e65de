"""Writes down the JSON schemas by which Keystone checks requests.

Run with the Python of a virtual environment that has keystone==30.0.0:

    python clients/oracle/request_schemas.py > crates/web/schemas/request-schemas.json

The order of the keys is part of the contract: Keystone reports the first error that it meets.
The sections say how an error is told, see crates/web/src/schemas/mod.rs.
"""

import importlib
import json
import sys

# Schemas change while modules are loaded, so load all that the server loads.
import keystone.server.flask.application  # noqa: F401
from keystone.federation import utils as federation_utils

BRIEF = {
    "application_credential": [
        "access_rule_index_request_query",
        "access_rule_show_request_query",
        "application_credential_create_request_body",
        "application_credential_index_request_query",
        "application_credential_request_body",
    ],
    "assignment": [
        "role_assignments_index_request_query",
        "role_create_request_body",
        "role_update_request_body",
        "roles_index_request_query",
    ],
    "catalog": [
        "endpoint_create_request_body",
        "endpoint_group_create_request_body",
        "endpoint_group_index_request_query",
        "endpoint_group_update_request_body",
        "endpoint_index_request_query",
        "endpoint_request_query",
        "endpoint_update_request_body",
        "region_create_request_body",
        "region_update_request_body",
        "regions_index_request_query",
        "service_create_request_body",
        "service_index_request_query",
        "service_update_request_body",
    ],
    "credential": ["create_request_body", "index_request_query", "update_request_body"],
    "federation": [
        "identity_provider_create_request_body",
        "identity_provider_index_request_query",
        "identity_provider_request_query",
        "identity_provider_update_request_body",
        "protocol_create_request_body",
        "protocol_update_request_body",
        "service_provider_create_request_body",
        "service_provider_index_request_query",
        "service_provider_update_request_body",
    ],
    "identity": [
        "group_create_request_body",
        "group_index_request_query",
        "group_update_request_body",
        "user_create_request",
        "user_index_request_query",
        "user_update_request",
    ],
    "limit": [
        "limit_update_request_body",
        "limits_create_request_body",
        "limits_index_request_query",
        "registered_limit_update_request_body",
        "registered_limits_create_request_body",
        "registered_limits_index_request_query",
    ],
    "resource": [
        "domain_create_request_body",
        "domain_index_request_query",
        "domain_update_request_body",
        "project_create_request_body",
        "project_index_request_query",
        "project_update_request_body",
        "tags_update_request_body",
    ],
    "trust": ["trust_create_request_body", "trust_index_request_query", "trust_request_query"],
}
VERBOSE = {
    "auth": ["token_issue"],
    "federation": ["saml_create"],
    "identity": ["password_change"],
    "oauth1": ["consumer_create", "consumer_update", "request_token_authorize"],
    "policy": ["policy_create", "policy_update"],
    "resource": ["project_tag_create", "project_tags_update"],
}
MAPPING = {
    "federation.mapping_1.0": federation_utils.IDP_ATTRIBUTE_MAPPING_SCHEMA_1_0,
    "federation.mapping_2.0": federation_utils.IDP_ATTRIBUTE_MAPPING_SCHEMA_2_0,
    "federation.mapping_3.0": federation_utils.IDP_ATTRIBUTE_MAPPING_SCHEMA_3_0,
}

# Keys whose value maps names to schemas, so that a name is not a keyword.
NAMED = {"definitions", "dependentRequired", "patternProperties", "properties"}
PROSE = {"description", "readOnly", "title", "x-openstack"}


def schemas(names):
    for module, listed in names.items():
        module_schemas = importlib.import_module(f"keystone.{module}.schema")
        for name in listed:
            yield f"{module}.{name}", getattr(module_schemas, name)


def without_prose(schema):
    """What takes part in validation. Brief errors do not show the schema."""
    if isinstance(schema, list):
        return [without_prose(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: without_prose(each) for name, each in value.items()}
        if key in NAMED
        else without_prose(value)
        for key, value in schema.items()
        if key not in PROSE
    }


def section(name, listed):
    lines = ",\n".join(
        f"  {json.dumps(key)}: {json.dumps(schema)}" for key, schema in sorted(listed)
    )
    return f' "{name}": {{\n{lines}\n }}'


if __name__ == "__main__":
    brief = [(name, without_prose(schema)) for name, schema in schemas(BRIEF)]
    sections = {"brief": brief, "verbose": schemas(VERBOSE), "mapping": MAPPING.items()}
    body = ",\n".join(section(name, listed) for name, listed in sections.items())
    sys.stdout.write(f"{{\n{body}\n}}\n")
