"""The application: Litestar routes requests to operations; a gate in front knows who may come in, and the Studio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.utils import normalize_path

from runfold_events.contract.errors import LimitExceeded, RunfoldError
from runfold_services.api.auth import Credentials, check_browser
from runfold_services.api.operations import Operation
from runfold_services.api.problems import encode_problem, problem_headers, problem_of
from runfold_services.api.routes import OPERATIONS
from runfold_services.api.serving import ACTOR_KEY, HEADERS_KEY, PATH_KEY, Endpoint, headers_of, send_problem
from runfold_services.runtime import Runtime
from runfold_services.studio.assets import Studio
from runfold_services.tally import ApiTally

REFUSED_AT_THE_GATE: Final = "gate"  # counted as an operation
STUDIO: Final = "studio"  # likewise
PATH_CHARS_MAX: Final = 4_096
_ENDPOINT: Final = "endpoint"  # in the options of a Litestar handler
OPEN_PATHS: Final = frozenset(operation.path for operation in OPERATIONS if operation.is_open)


def create_app(
    runtime: Runtime, credentials: Credentials, operations: Sequence[Operation] = OPERATIONS
) -> Gate:
    """The whole API as one ASGI application. It starts and stops ``runtime``."""
    runtime.credentials = credentials
    litestar = Litestar(
        route_handlers=[_handler(operation, runtime) for operation in operations],
        exception_handlers={HTTPException: _routing_problem, Exception: _routing_problem},
        on_startup=[runtime.start],
        on_shutdown=[runtime.stop],
        openapi_config=None,  # ours is made from the operations themselves
        logging_config=None,
        debug=False,
    )
    return Gate(litestar, credentials, runtime.tally, Studio())


class Gate:
    """Decides who a request comes from before anything else looks at it, known paths or not."""

    def __init__(self, litestar: Litestar, credentials: Credentials, tally: ApiTally, studio: Studio) -> None:
        self.litestar = litestar
        self._studio = studio
        self._tally = tally
        self._credentials = credentials

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = scope[HEADERS_KEY] = headers_of(scope)
            scope[PATH_KEY] = scope["path"]  # before the router tidies it up
            try:
                _check_path(scope["path"])
                check_browser(headers, scope["method"], self._credentials)
                if self._studio.owns(scope["path"]):
                    # Open to everybody who may come in at all: its files are the same for all, and hold no data.
                    self._tally.request(STUDIO, await self._studio(scope, headers, send), None)
                    return
                if scope["path"] not in OPEN_PATHS:
                    scope[ACTOR_KEY] = self._credentials.actor_of(headers.get("authorization"))
            except RunfoldError as error:
                self._tally.request(REFUSED_AT_THE_GATE, await send_problem(error, scope, send), None)
                return
            endpoint = self._endpoint_of(scope)
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self.litestar(scope, receive, send)

    def _endpoint_of(self, scope: Any) -> Endpoint | None:
        """The endpoint that Litestar finds, to be called without the request and answer that it would make of it.

        Those two cost a third of what a small command costs on the event loop. What is not found goes to Litestar
        itself, which says so.
        """
        path = normalize_path(scope["path"])
        try:
            _, handler, _, scope["path_params"], _ = self.litestar.asgi_router.handle_routing(
                path=path, method=scope["method"]
            )
        except HTTPException:
            return None
        return cast("Endpoint | None", handler.opt.get(_ENDPOINT))


def _check_path(path: str) -> None:
    """Refuse a path that is longer than any name in it may be; the router remembers those it has seen."""
    if len(path) > PATH_CHARS_MAX:
        raise LimitExceeded(
            f"a path may have {PATH_CHARS_MAX} characters; it has {len(path)}",
            facts={"field": "path", "limit": PATH_CHARS_MAX, "size": len(path)},
        )


def _handler(operation: Operation, runtime: Runtime) -> HTTPRouteHandler:
    endpoint = Endpoint(operation, runtime)

    async def handle() -> None:
        """Never called: the gate calls the endpoint."""

    path = operation.path.replace("}", ":str}").replace("{file_path:str}", "{file_path:path}")
    # Litestar's status code is never used: the endpoint sends its own. 200 lets every method return something.
    return HTTPRouteHandler(
        path, http_method=[operation.method], name=operation.name, status_code=200, opt={_ENDPOINT: endpoint}
    )(handle)


def _routing_problem(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """Litestar's own refusals (no such path, no such method) in our form."""
    told = error
    if isinstance(error, HTTPException):
        told = _as_ours(request, error)
    problem = problem_of(told)
    headers = {name.decode(): value.decode() for name, value in problem_headers(told, problem)}
    media_type = headers.pop("content-type")
    return Response(
        encode_problem(problem), status_code=problem.status, headers=headers, media_type=media_type
    )


def _as_ours(request: Request[Any, Any, State], error: HTTPException) -> RunfoldError:
    path = request.scope["path"][:200]
    if error.status_code == 404:
        return RunfoldError(f"there is nothing at {path}", code="not_found", facts={"path": path})
    if error.status_code == 405:
        allow = sorted((error.headers or {}).get("allow", "").replace(" ", "").split(","))
        return RunfoldError(
            f"{request.method} is not for {path}; {', '.join(allow)} is",
            code="method_not_allowed",
            facts={"method": request.method, "allow": allow},
        )
    return RunfoldError(error.detail, code="invalid", facts={"field": "request"})
