# Short names for the scripts; `just` itself is optional.

# What CI runs.
check *words:
    scripts/test {{words}}

# Before each commit.
quick:
    scripts/test quick

# Tests with real clients: `just clients tests/oauth2`.
clients *words:
    scripts/test clients {{words}}

# The server as one static file.
static:
    scripts/static

# Load on this server and on Keystone, in turn.
bench *words:
    bench/run {{words}}

# Requests to a large database.
grow *words:
    bench/grow {{words}}

# How long a start takes.
start *words:
    bench/start {{words}}
