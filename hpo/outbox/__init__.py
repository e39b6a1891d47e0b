"""A durable queue: operations wait on disk until the layer above has sent them; it knows no server."""
