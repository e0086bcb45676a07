"""ClusterLinks: the links of one process to the nodes of a Cluster, and which names go on which."""

import asyncio
from typing import Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import NO_ANSWER, Calls
from shared.concurrency.session.cluster.guide import Guide
from shared.concurrency.session.cluster.node import NodeLink
from shared.concurrency.session.cluster.route import Route
from shared.concurrency.session.cluster.topology import Topology, slot_of
from shared.concurrency.session.link import Origin
from shared.concurrency.session.parts import Group, Parts
from shared.concurrency.session.server_errors import Disconnected, Postponed

_PAUSE: Final = 0.05


class ClusterLinks:
    """One link to each node that serves a name in use, made at first use; names of one slot share a route."""

    def __init__(self, address: ClusterAddress, origin: Origin, parts: Parts, topology: Topology) -> None:
        """Prepare; `start` connects.

        :raises ValueError: when redis-py does not know an option of the address.
        """
        self.address: Final = address
        self._origin = origin
        self._parts = parts
        self._topology = topology
        self._routes: dict[int, Route] = {}
        self._links: dict[Endpoint, NodeLink] = {}
        self._guide = Guide(address, topology, self)
        self._announcing: set[asyncio.Task[None]] = set()
        self._dropping: set[asyncio.Task[None]] = set()
        self._end: ConcurrencyError | None = None
        """What callers get once it is closed."""
        self._unused = Calls(origin.refusals, origin.tally)
        """Those of no link."""

    # --- what the process uses ----------------------------------------------------------------------------------------

    @property
    def calls(self) -> Calls:
        """Those of any link, of an open one where there is one."""
        links = sorted(self._links.values(), key=lambda link: not link.calls.is_open)
        return links[0].calls if links else self._unused

    @property
    def problem(self) -> str:
        """Why the last attempt to connect failed."""
        return self.calls.problem if self._links else self._guide.problem

    def of(self, name: str) -> Route:
        """The route of a name, made at the first call."""
        slot = slot_of(name)
        route = self._routes.get(slot)
        if route is None:
            route = self._routes[slot] = Route(slot, self._origin.tally, self._moved)
            if self._end is None:
                self.assign(route)
            else:
                route.close(self._end)
        return route

    def start(self) -> None:
        """Begin to ask where the nodes are, and to connect."""
        self._guide.start()

    async def opened(self) -> None:
        """Wait until the first node can be used.

        :raises ServerRefused: when nodes answer but none can be used as it is.
        """
        await self._guide.known()
        await self.calls.opened()

    def refuse(self, reason: str) -> None:
        """Fail those who wait for the first node, where none is known."""
        self._guide.refuse(reason)

    def unconnected(self) -> str:
        """Why a node that is needed cannot be called; empty when all can."""
        used = [route.link for route in self._routes.values() if route.link is not None]
        for link in used or self._links.values():
            if not link.calls.is_open:
                return link.calls.why_they_wait() or NO_ANSWER
        return "" if self._links else self._guide.problem

    async def close(self) -> None:
        """Disconnect for good; callers fail from then on."""
        await self._guide.stop()
        self._end = ConcurrencyError("the session was closed before the server answered")
        for task in self._announcing:
            task.cancel()
        for node in list(self._links):
            self._drop(node)
        for route in self._routes.values():
            route.close(self._end)
        if ending := self._announcing | self._dropping:
            await asyncio.wait(ending)

    # --- what the guide asks ------------------------------------------------------------------------------------------

    def open_calls(self) -> list[tuple[Endpoint, Calls]]:
        """The nodes that can be asked on a link, and their calls."""
        return [(node, link.calls) for node, link in self._links.items() if link.calls.is_open]

    def is_well(self) -> bool:
        """Whether each name is where it is served, as far as is known."""
        return all(route.link is not None and route.link.calls.is_open for route in self._routes.values())

    def may_change(self, slot: int, node: Endpoint) -> bool:
        """Whether another node may serve this slot: not while its own one serves us."""
        route = self._routes.get(slot)
        if route is None or route.link is None or route.link.endpoint != node:
            return True
        return route.is_doubtful or not route.link.calls.is_open

    def settle(self, asked: Endpoint) -> None:
        """Have each name go where it is served, and drop the links that lead nowhere now."""
        nodes = self._topology.nodes()
        for route in self._routes.values():
            self.assign(route)
            route.is_doubtful = False  # until its node says so again
        if not self._links and nodes:
            self._link_to(asked if asked in nodes else nodes[0])
        used = {route.link.endpoint for route in self._routes.values() if route.link is not None}
        for node, link in list(self._links.items()):
            # What is under way there is waited for: the next look drops it.
            is_busy = link.calls.is_open and link.calls.is_busy
            if node not in used and not is_busy and (used or node not in nodes):
                self._drop(node)

    def assign(self, route: Route) -> None:
        """Have a route lead to the node that serves its slot now, as far as is known."""
        node = self._topology.node_of(route.slot)
        if node is None:
            self._guide.look()
        elif route.link is None or (route.link.endpoint != node and self.may_change(route.slot, route.link.endpoint)):
            self._lead(route, node)

    # --- what links and routes report ---------------------------------------------------------------------------------

    def _moved(self, route: Route, link: NodeLink, to: Endpoint | None) -> None:
        """A call was answered that another node serves the slot, or that this one does not."""
        if route.link is not link or self._end is not None:
            return  # the name is on its way already
        node = None if to is None else Endpoint(to.host or link.endpoint.host, to.port)
        if node is None or node == link.endpoint:
            route.is_doubtful = True
        else:
            self._topology.moved(route.slot, node)
            self._lead(route, node)
        self._guide.look()

    def _lead(self, route: Route, node: Endpoint) -> None:
        link = self._link_to(node)
        route.lead_to(link)
        if link.is_greeted:
            self._announce_soon(route, link, self._parts.groups(slot_of).get(route.slot))

    def _link_to(self, node: Endpoint) -> NodeLink:
        if node not in self._links:
            self._links[node] = NodeLink(
                self.address, node, self._origin,
                on_message=self._received, on_greeted=self._greeted, on_change=self._changed,
            )  # fmt: skip
        return self._links[node]

    def _drop(self, node: Endpoint) -> None:
        link = self._links.pop(node)
        task = asyncio.create_task(link.close(), name="weir-drop-link")
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _received(self, link: NodeLink, notification: bytes) -> None:
        """Every node publishes what any has: it counts on the link of its name alone, so it is heard once, in order."""
        words = notification.split(b" ", 2)
        route = self._routes.get(slot_of(words[1].decode(errors="replace"))) if len(words) > 1 else None
        if route is not None and route.link is link and route.is_announced:
            self._parts.dispatch(notification)

    def _greeted(self, link: NodeLink) -> None:
        groups = self._parts.groups(slot_of)
        for route in self._routes.values():
            if route.link is link:
                self._announce_soon(route, link, groups.get(route.slot))

    def _changed(self, link: NodeLink) -> None:
        for route in self._routes.values():
            if route.link is link:
                route.look()
        if not link.calls.is_open:
            self._guide.look()

    def _announce_soon(self, route: Route, link: NodeLink, group: Group | None) -> None:
        if group is None:
            route.announced()
            return
        task = asyncio.create_task(self._announce(route, link, link.greetings, group), name="weir-announce")
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _announce(self, route: Route, link: NodeLink, greeting: int, group: Group) -> None:
        """Announce the parts under a route's names at its node; again while the slot is on its way."""

        def is_current() -> bool:
            return route.link is link and link.is_greeted and link.greetings == greeting

        while is_current():
            try:
                await self._parts.connected(link.calls.run_id, group)
            except Disconnected:
                return  # the next greeting begins anew
            except Postponed:
                await asyncio.sleep(_PAUSE)
            else:
                if is_current():
                    route.announced()
                return
