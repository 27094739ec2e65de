"""What two servers allow whom under the same policy: the same people, the same requests, the same files.

`world.py` makes the same things and people on a server, `requests.py` lists what they ask for, and
`provider.yaml` is a file of overrides; `../tests/policy/test_overrides.py` compares.
"""
