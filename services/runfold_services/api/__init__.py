"""The HTTP API: a rendering of :class:`runfold_services.service.Service`, with nothing decided here.

``operations`` says what an operation is; ``routes`` lists all of them, one module a resource; ``serving`` runs one over
ASGI; ``openapi`` describes the same list. So what is served and what is described cannot differ.
"""
